import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import fc from "fast-check";
import type { Move } from "../checkpoint/moves.ts";
import type { CheckpointRecord } from "../checkpoint/record.ts";
import { flightOf, isPartial } from "../rollout/flight.ts";
import { ROLLOUT_TOPIC, type WatchNote } from "../rollout/fold.ts";
import { positionOf } from "../xds/cohort.ts";
import { type Inputs, loadInputs } from "./inputs.ts";
import { RolloutWorld } from "./rollout-world.ts";
import { restoreRollouts } from "./rollouts.ts";

let inputs: Inputs;
before(async () => {
  inputs = await loadInputs("demo/ballast.yaml", () => Date.parse("2026-03-02T06:05:00Z"));
});
const EDGES = ["edge-1", "edge-2", "edge-3", "edge-4", "edge-5", "edge-6", "edge-7", "edge-8"];
const inOrder = [...EDGES].sort((a, b) => (positionOf(a) < positionOf(b) ? -1 : 1));
const start = (nodes = EDGES) => RolloutWorld.start(inputs, nodes);
/** quotes has three targets and no sessions. */
const quotes = [300_000, 450_000, 250_000] as const;
const BASE = [450_000, 350_000, 200_000];

describe("a change of a service without sessions", () => {
  test("reaches one node, then a quarter, then all, with a bake between, as one epoch each", async () => {
    const world = await start();
    await world.planner([world.plan("quotes", quotes)]);
    const first = world.writer.inForce!.epoch;
    assert.deepEqual(world.aheadNow(), [inOrder[0]]);
    assert.deepEqual(world.writer.inForce!.record.cohort?.nodes, 1);
    await world.pass(59_000, 4);
    assert.equal(world.writer.inForce!.epoch, first, "the bake is not over");
    await world.pass(2_000, 2);
    assert.deepEqual(world.aheadNow().sort(), inOrder.slice(0, 2).sort());
    assert.equal(await world.state(first), "closed");
    await world.pass(62_000, 4);
    assert.equal(world.writer.inForce!.record.cohort, undefined);
    assert.equal(world.aheadNow().length, 8);
    await world.settle();
    const { epoch } = world.writer.inForce!;
    assert.equal(epoch, first + 2);
    assert.equal(await world.state(epoch), "closed");
    const moves = (await world.store.history({ epoch: first })).flatMap(({ body }) =>
      body.kind === "move" ? [body.move.move] : [],
    );
    assert.deepEqual(moves, ["bake", "supersede"]);
  });

  test("is taken back by a new epoch without new tables when the canary fails, whoever never had it untouched", async () => {
    const world = await start();
    const before = world.writer.inForce!;
    await world.planner([world.plan("quotes", quotes)]);
    const changed = world.writer.inForce!.epoch;
    world.broken.set("quotes", "ahead");
    await world.pass(10_000, 10);
    const { epoch, set, rest, record } = world.writer.inForce!;
    assert.equal(epoch, changed + 1);
    assert.deepEqual([set.digest, rest], [before.set.digest, null]);
    assert.equal(record.trigger, "automatic_rollback");
    assert.match(record.why, /quotes: \d+ of \d+ requests.*at untouched nodes.*failed, the objective is 1 %/);
    assert.equal(record.changeType, "emergency");
    assert.equal(await world.state(changed), "rolledBack");
    assert.deepEqual(
      world.desk.state.owed.map((owed) => owed.epoch),
      [epoch],
    );
    assert.match(String(world.rollouts.restraintOf("quotes")?.text), /rolled back automatically by epoch/);
    assert.equal(await world.planner([world.plan("quotes", quotes)]), false, "the planner does not try again");
  });

  test("errors that are as bad at untouched nodes are not its doing", async () => {
    const world = await start();
    await world.planner([world.plan("quotes", quotes)]);
    world.broken.set("quotes", "all");
    await world.pass(59_000, 10);
    assert.equal(flightOf(world.rollouts.state, "quotes")?.step, 0);
  });

  test("reaches to the first node that can be seen where not all are, and all at once where none can be told from another", async () => {
    const world = await start();
    for (const id of inOrder.slice(0, 3)) world.silent.add(id);
    await world.pass(40_000, 4);
    await world.planner([world.plan("quotes", quotes)]);
    assert.deepEqual(world.aheadNow().sort(), inOrder.slice(0, 4).sort());
    await world.settle();
    assert.deepEqual(world.weights("quotes"), [...quotes]);
    const nameless = await start();
    nameless.named = false;
    await nameless.restart();
    await nameless.pass(1_000);
    await nameless.planner([nameless.plan("quotes", quotes)]);
    assert.equal(nameless.writer.inForce!.record.rollout!.services[0]!.by, "slots");
    await nameless.settle();
  });

  test("is taken back when its one node falls silent", async () => {
    const world = await start();
    await world.planner([world.plan("quotes", quotes)]);
    world.silent.add(inOrder[0]!);
    await world.pass(40_000, 8);
    assert.match(world.writer.inForce!.record.why, /no telemetry for 30 s from/);
    assert.deepEqual(world.weights("quotes"), BASE);
  });

  test("is taken back when more nodes fail to activate it than the policy bears", async () => {
    const world = await start();
    world.failing = new Set(EDGES.slice(0, 2));
    await world.planner([world.plan("quotes", quotes)]);
    await world.pass(1_000);
    assert.match(world.writer.inForce!.record.why, /2 of 8 nodes did not activate/);
  });

  test("does not begin while nothing can be seen of the fleet; a broken glass lets it, and then silence takes nothing back", async () => {
    const world = await start();
    for (const id of EDGES) world.silent.add(id);
    await world.pass(40_000);
    assert.equal(await world.planner([world.plan("quotes", quotes)]), false);
    assert.match(String(world.rollouts.restraintOf("quotes")?.text), /could not be watched/);
    const services = [{ name: "payments", weightsPpm: { "payments-site-a": 500_000, "payments-site-b": 500_000 } }];
    const change = { services, author: "alice", reason: "a test" };
    await assert.rejects(world.changes.propose(change), { code: "CHANGE_UNWATCHED" });
    const answer = await world.changes.propose({ ...change, breakGlass: true });
    assert.deepEqual([answer.state, "changeType" in answer && answer.changeType], ["active", "emergency"]);
    await world.settle();
    assert.deepEqual(world.weights("payments"), [500_000, 500_000]);
  });

  test("in a fleet of one node goes by slots", async () => {
    const world = await start(["edge-1"]);
    await world.planner([world.plan("quotes", [0, 800_000, 200_000])]);
    assert.equal(world.writer.inForce!.record.cohort, undefined);
    assert.equal(world.weights("quotes")[0], 250_000);
    await world.settle();
    assert.deepEqual(world.weights("quotes"), [0, 800_000, 200_000]);
  });
});

describe("a change of a service with sessions", () => {
  test("goes through intermediate weights on all nodes, each explained and baked", async () => {
    const world = await start();
    await world.planner([world.plan("payments", [100_000, 900_000])]);
    const seen = [world.weights("payments")[0]];
    while (world.rollouts.state.flights.length > 0) {
      await world.pass(20_000);
      if (world.weights("payments")[0] !== seen.at(-1)) seen.push(world.weights("payments")[0]);
      assert.equal(world.aheadNow().length, 8);
    }
    assert.deepEqual(seen, [400_000, 200_000, 100_000]);
    for (const { causes, basePpm, weightPpm } of world.writer.inForce!.last.get("payments")!.plan.targets)
      assert.equal(
        causes.reduce((sum, { effectPpm }) => sum + effectPpm, basePpm),
        weightPpm,
      );
  });

  test("is taken back to where it began, with the pin of the person who asked for it", async () => {
    const world = await start();
    const { set } = world.writer.inForce!;
    await world.changes.propose({
      services: [{ name: "payments", weightsPpm: { "payments-site-a": 500_000, "payments-site-b": 500_000 } }],
      author: "alice",
      reason: "a test",
    });
    assert.deepEqual(
      world.desk.state.pins.map(({ service }) => service),
      ["payments"],
    );
    world.broken.set("payments", "all");
    await world.pass(10_000, 10);
    assert.equal(world.writer.inForce!.set.digest, set.digest);
    assert.deepEqual(world.desk.state.pins, []);
  });
});

describe("two changes at once", () => {
  test("one change of a service is in flight at a time, and one cohort of a fleet", async () => {
    const world = await start();
    await world.planner([world.plan("quotes", quotes)]);
    const half = { "ledger-site-a": 400_000, "ledger-site-b": 600_000 };
    const propose = (name: string, weightsPpm: Record<string, number>) =>
      world.changes.propose({ services: [{ name, weightsPpm }], author: "alice", reason: "a test" });
    await assert.rejects(propose("quotes", { "quotes-site-a": 1_000_000 }), { code: "CHANGE_IN_FLIGHT" });
    await assert.rejects(propose("ledger", half), { code: "CHANGE_IN_FLIGHT" });
    assert.equal(world.rollouts.restraintOf("ledger")?.kind, "rollout");
    await propose("payments", { "payments-site-a": 500_000, "payments-site-b": 500_000 });
    const { record, rest } = world.writer.inForce!;
    assert.equal(record.cohort?.unit, flightOf(world.rollouts.state, "quotes")!.id, "the cohort stays");
    assert.equal(rest!.tables.get("payments")!.targets[0]!.stickyQuota, 512, "and the rest has the new weights too");
    await world.settle();
    assert.deepEqual(world.weights("quotes"), [...quotes]);
    await propose("ledger", half);
  });

  test("what must leave waits for no bake: another service goes to all nodes and the cohort stays", async () => {
    const world = await start();
    await world.planner([world.plan("quotes", quotes)]);
    await world.planner([world.plan("ledger", [0, 1_000_000], "ledger-site-a")]);
    const { record, rest } = world.writer.inForce!;
    assert.equal(record.rollout?.kind, "protective");
    assert.equal(record.cohort?.nodes, 1);
    assert.equal(rest!.tables.get("ledger")!.targets.length, 2);
    assert.deepEqual(
      rest!.tables.get("ledger")!.targets.map(({ orderQuota }) => orderQuota),
      [0, 1024],
    );
    await world.settle();
    assert.deepEqual(world.weights("quotes"), [...quotes]);
  });

  test("when the very service of a cohort must leave a target, the cohort is taken back and the drain starts from what all have", async () => {
    const world = await start();
    await world.planner([world.plan("quotes", quotes)]);
    const cohort = world.writer.inForce!.epoch;
    await world.planner([world.plan("quotes", [650_000, 350_000, 0], "quotes-newhw")]);
    const { rest, record } = world.writer.inForce!;
    assert.deepEqual([rest, record.rollout?.kind], [null, "protective"]);
    assert.deepEqual(world.weights("quotes"), [650_000, 350_000, 0]);
    assert.equal(await world.state(cohort), "rolledBack");
    assert.equal(world.rollouts.restraintOf("quotes"), null, "nothing was wrong with it: it may be planned again");
  });

  test("the kill switch takes a cohort back, and a rollback by a person ends everything in flight", async () => {
    const world = await start();
    const { set, epoch } = world.writer.inForce!;
    await world.planner([world.plan("quotes", quotes)]);
    await world.changes.killSwitch({ on: true, author: "alice", reason: "a test" });
    assert.deepEqual([world.writer.inForce!.set.digest, world.writer.inForce!.rest], [set.digest, null]);
    const other = await start();
    await other.planner([other.plan("quotes", quotes)]);
    const cohort = other.writer.inForce!.epoch;
    await other.changes.rollback({ epoch, author: "alice", reason: "a test" });
    assert.equal(await other.state(cohort), "rolledBack");
    assert.deepEqual(
      other.rollouts.state.flights.map(({ kind }) => kind),
      ["protective"],
    );
  });
});

describe("automatic rollbacks", () => {
  test("end no service's life: a person, or other inputs, let it be planned again, and after three only a person", async () => {
    const world = await start();
    for (const round of [1, 2, 3]) {
      assert.equal(await world.planner([world.plan("quotes", quotes)]), true, `round ${round}`);
      world.broken.set("quotes", "ahead");
      await world.pass(10_000, 10);
      world.broken.clear();
      assert.notEqual(world.rollouts.restraintOf("quotes"), null);
      world.inputs = `inputs ${round + 1}`;
      await world.restart();
      await world.pass(1_000);
    }
    assert.match(String(world.rollouts.restraintOf("quotes")?.text), /until `ballast resume --services quotes`$/);
    await world.changes.resume({ author: "alice", services: ["quotes"] });
    assert.equal(world.rollouts.restraintOf("quotes"), null);
  });

  test("are refused while they would send requests to what can take none, and are an alarm then", async () => {
    const world = await start();
    await world.planner([world.plan("quotes", [250_000, 350_000, 400_000])]);
    world.unfit.set("quotes-site-a", "no healthy host");
    world.broken.set("quotes", "ahead");
    await world.pass(10_000, 10);
    assert.notEqual(world.rollouts.state.flights.length, 0);
    assert.match(
      String(world.rollouts.stuck),
      /quotes would send 45 % to a target that can take none: no healthy host/,
    );
    await assert.rejects(world.changes.rollback({ author: "alice", reason: "a test" }), { code: "ROLLBACK_UNSAFE" });
    const forced = await world.changes.rollback({ author: "alice", reason: "a test", force: true });
    assert.equal(forced.record.breakGlass?.by, "alice");
  });
});

describe("a server that takes over", () => {
  test("finds the cohort in the store, and the step bakes again before it goes on", async () => {
    const world = await start();
    await world.planner([world.plan("quotes", quotes)]);
    await world.pass(50_000, 4);
    const { epoch } = world.writer.inForce!;
    const rest = world.writer.inForce!.rest!.set.digest;
    await world.restart();
    assert.equal(world.writer.inForce!.rest!.set.digest, rest);
    await world.pass(59_000, 4);
    assert.equal(world.writer.inForce!.epoch, epoch, "nobody watched the first 50 s");
    await world.settle();
    assert.equal(world.writer.inForce!.epoch, epoch + 2);
  });
});

type Event =
  | { do: "plan"; service: string; share: number }
  | { do: "drain"; service: string }
  | { do: "propose"; service: string; share: number }
  | { do: "pass"; seconds: number }
  | { do: "break"; service: string; where: "ahead" | "all" | null }
  | { do: "leave" | "join" | "mute" | "hear" | "fail"; node: string }
  | { do: "stage"; ok: boolean }
  | { do: "restart" | "rollback" | "kill" | "resume" };

const service = fc.constantFrom("payments", "quotes", "ledger");
const node = fc.constantFrom(...EDGES);
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("pass" as const), seconds: fc.integer({ min: 1, max: 90 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("plan" as const, "propose" as const),
      service,
      share: fc.integer({ min: 0, max: 10 }),
    }),
  },
  fc.record({ do: fc.constant("drain" as const), service }),
  fc.record({ do: fc.constant("break" as const), service, where: fc.constantFrom("ahead", "all", null) }),
  fc.record({
    do: fc.constantFrom("leave" as const, "join" as const, "mute" as const, "hear" as const, "fail" as const),
    node,
  }),
  fc.record({ do: fc.constant("stage" as const), ok: fc.boolean() }),
  fc.record({ do: fc.constantFrom("restart" as const, "rollback" as const, "kill" as const, "resume" as const) }),
);

test("whatever happens: no bake is skipped, one change of a service flies at a time, and every epoch ends closed or rolled back", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 5, maxLength: 40 }), async (events) => {
      const world = await start(EDGES.slice(0, 5));
      for (const one of events) {
        await happen(world, one).catch((thrown: { code?: string }) => {
          // What change control refuses is refused; anything else is a fault.
          if (thrown.code === undefined) throw thrown;
        });
        await holds(world);
      }
      world.unfit.clear();
      Object.assign(world, { stageOk: true, broken: new Map(), silent: new Set(), failing: new Set() });
      if (world.nodes.length === 0) world.nodes.push("edge-1");
      await world.changes.resume({ author: "alice" });
      if (world.writer.inForce!.record.mode !== "passthrough") await world.settle();
      await holds(world);
      await allEnded(world);
    }),
    { numRuns: Number(process.env.ROLLOUT_RUNS ?? 60) },
  );
});

async function happen(world: RolloutWorld, one: Event): Promise<void> {
  const shares = (name: string, tenths: number) => {
    const first = tenths * 100_000;
    return name === "quotes" ? [first, 1_000_000 - first, 0] : [first, 1_000_000 - first];
  };
  switch (one.do) {
    case "plan":
      await world.planner([world.plan(one.service, shares(one.service, one.share))]);
      return;
    case "drain": {
      const { plans } = world.rollouts.baseline(world.writer.inForce!);
      const [first, second, ...others] = plans.get(one.service)!.targets;
      const weights = [0, first!.weightPpm + second!.weightPpm, ...others.map(({ weightPpm }) => weightPpm)];
      await world.planner([world.plan(one.service, weights, first!.name)]);
      return;
    }
    case "propose": {
      const [first, second] = [...inputs.services.get(one.service)!.policy.basePpm.keys()] as [string, string];
      const weightsPpm = { [first]: one.share * 100_000, [second]: 1_000_000 - one.share * 100_000 };
      const services = [{ name: one.service, weightsPpm }];
      const answer = await world.changes.propose({ services, author: "alice", reason: "a test" });
      if (answer.state === "validated") await world.changes.approve({ epoch: answer.epoch, by: "bob" });
      return;
    }
    case "pass":
      return world.pass(one.seconds * 1_000, 3);
    case "break":
      if (one.where === null) world.broken.delete(one.service);
      else world.broken.set(one.service, one.where);
      return;
    case "leave":
      world.nodes = world.nodes.filter((id) => id !== one.node);
      return;
    case "join":
      if (!world.nodes.includes(one.node)) world.nodes.push(one.node);
      return;
    case "mute":
      world.silent.add(one.node);
      return;
    case "hear":
      world.silent.delete(one.node);
      return;
    case "fail":
      world.failing.add(one.node);
      return;
    case "stage":
      world.stageOk = one.ok;
      return;
    case "restart":
      return world.restart();
    case "rollback":
      await world.changes.rollback({ author: "alice", reason: "a test" });
      return;
    case "kill":
      await world.changes.killSwitch({ on: true, author: "alice", reason: "a test" });
      return;
    case "resume":
      return world.changes.resume({ author: "alice" });
  }
}

/** What must be true after every event. */
async function holds(world: RolloutWorld): Promise<void> {
  const { state } = world.rollouts;
  const names = state.flights.flatMap(({ kind, services }) =>
    kind === "change" ? services.map(({ name }) => name) : [],
  );
  assert.equal(new Set(names).size, names.length, "two changes of one service in flight");
  const partial = state.flights.filter(isPartial);
  assert.ok(partial.length <= 1, "two cohorts at once");
  const { rest, record } = world.writer.inForce!;
  assert.equal(rest !== null, partial.length === 1, "a second set in force without a cohort, or none with one");
  if (rest !== null) assert.equal(record.cohort?.unit, partial[0]!.id);
  assert.deepEqual(await restoreRollouts(world.store), state, "the log says something else than memory");
  neverSkipsABake(world);
}

function neverSkipsABake(world: RolloutWorld): void {
  const watched = new Map<number, WatchNote>();
  const baked = new Set<number>();
  const before = new Map<number, number>();
  for (const { body } of world.store.entries) {
    if (body.kind === "note" && body.topic === ROLLOUT_TOPIC.watch) watched.set(body.epoch!, body.detail as WatchNote);
    if (body.kind === "move" && (body.move as Move).move === "bake") {
      baked.add(body.epoch);
      // The world's wall clock is its planning clock.
      assert.ok(body.move.atMs >= watched.get(body.epoch)!.bakeUntilMs, `epoch ${body.epoch} was baked too early`);
    }
    if (body.kind !== "checkpoint" || body.checkpoint.state !== "active") continue;
    const { rollout, epoch }: CheckpointRecord = body.checkpoint.record;
    const earlier = before.get(rollout!.id);
    if (earlier !== undefined) assert.ok(baked.has(earlier), `epoch ${epoch} follows ${earlier}, which was not baked`);
    before.set(rollout!.id, epoch);
  }
}

async function allEnded(world: RolloutWorld): Promise<void> {
  const committed = world.store.entries.flatMap(({ body }) =>
    body.kind === "checkpoint" && body.checkpoint.state === "active" ? [body.epoch] : [],
  );
  const flying = new Set(world.rollouts.state.flights.map(({ epoch }) => epoch));
  for (const epoch of committed) {
    if (flying.has(epoch)) continue;
    const state = await world.state(epoch);
    assert.ok(state === "closed" || state === "rolledBack", `epoch ${epoch} is ${state}`);
  }
}
