import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { systemClock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { EMPTY_LEDGER } from "../change/ledger.ts";
import { auditVerify } from "../checkpoint/audit.ts";
import type { RoundSummary } from "../checkpoint/record.ts";
import { SqliteStore } from "../checkpoint/sqlite-store.ts";
import { type CheckpointStore, LEADER_LEASE, presentCheckpoint } from "../checkpoint/store.ts";
import type { PlannedService } from "../plan/plan.ts";
import { NO_ROLLOUTS } from "../rollout/flight.ts";
import { RolloutMeter } from "../rollout/meter.ts";
import type { FleetMemory } from "../xds/fleet.ts";
import type { RoundOutcome } from "../xds/round.ts";
import { ChangeDesk } from "./change-desk.ts";
import { draftSet } from "./draft-set.ts";
import { EpochWriter } from "./epoch-writer.ts";
import { type Inputs, loadInputs } from "./inputs.ts";
import { Rollouts } from "./rollouts.ts";

let inputs: Inputs;
let dir = "";
let run = 0;
before(async () => {
  inputs = await loadInputs("demo/ballast.yaml", () => Date.parse("2026-03-02T06:05:00Z"));
  dir = await mkdtemp(join(tmpdir(), "ballast-writer-"));
});
after(() => rm(dir, { recursive: true }));

/** A fleet that proves everything at once, but for what a test makes fail next. */
class FakeFleet {
  failActivation: BallastError | null = null;
  /** Set: a stage is open until `finish` is called. */
  open: { finish: (outcome: RoundOutcome) => void } | null = null;
  keepOpen = false;
  /** What the next activations measure. */
  activation: Partial<RoundOutcome> = {};
  aborted: string[] = [];
  restored: FleetMemory[] = [];

  stage(): Promise<RoundOutcome> {
    if (!this.keepOpen) return Promise.resolve(outcome("stage", true, ""));
    return new Promise((resolve) => {
      this.open = { finish: resolve };
    });
  }

  async activate(): Promise<RoundOutcome> {
    const failure = this.failActivation;
    this.failActivation = null;
    if (failure !== null) throw failure;
    return { ...outcome("activate", true, ""), ...this.activation };
  }

  abort(reason: string): void {
    this.aborted.push(reason);
    this.open?.finish(outcome("stage", false, reason));
    this.open = null;
  }

  restore(memory: FleetMemory): void {
    this.restored.push(memory);
  }
}

function outcome(kind: "stage" | "activate", ok: boolean, reason: string): RoundOutcome {
  const rest = {
    epoch: 0,
    term: 0,
    version: "",
    quorum: "all" as const,
    tookMs: 1,
    firstAckMs: 1,
    lastAckMs: 1,
    acks: 0,
    nodes: [],
  };
  return { ...rest, kind, ok, result: ok ? "proved" : "aborted", reason };
}

let fleet: FakeFleet;
let skews: (number | null)[];
let store: CheckpointStore;
let failing: { commit: "before" | "after" | null };
let writer: EpochWriter;
let path = "";

beforeEach(async () => {
  path = join(dir, `${++run}.db`);
  const inner = SqliteStore.open({ path });
  failing = { commit: null };
  store = new Proxy(inner, {
    get(target, property) {
      const value = Reflect.get(target, property, target) as unknown;
      if (typeof value !== "function") return value;
      if (property !== "commit") return value.bind(target);
      return async (...args: Parameters<CheckpointStore["commit"]>) => {
        const when = failing.commit;
        failing.commit = null;
        const lost = new BallastError("STORE_UNREADABLE", "the answer was lost");
        if (when === "before") throw lost;
        const head = await inner.commit(...args);
        if (when === "after") throw lost;
        return head;
      };
    },
  });
  const lease = await store.lease(LEADER_LEASE, { holder: "test", ttlMs: 60_000 });
  assert.ok(lease.granted);
  fleet = new FakeFleet();
  skews = [];
  const { config, estate, services } = inputs;
  const desk = new ChangeDesk({ store, term: lease.token, state: EMPTY_LEDGER, windows: [], nowMs: systemClock.nowMs });
  const rollouts = new Rollouts({
    config,
    clock: systemClock,
    wallMs: Date.now,
    store,
    term: lease.token,
    state: NO_ROLLOUTS,
    meter: new RolloutMeter({ lookBackMs: 10_000 }),
    clockRate: 1,
    nodeIds: () => [],
    restraintOf: () => null,
    inputs: "",
    log: { info() {}, warn() {} },
  });
  writer = new EpochWriter({
    config,
    clock: systemClock,
    estateDigest: estate.digest,
    services,
    store,
    fleet,
    rollouts,
    nodeIds: () => [],
    term: lease.token,
    inForce: null,
    desk,
    model: () => null,
    riskModel: () => null,
    log: { info() {}, warn() {} },
    onEpoch: ({ skewMs }) => void skews.push(skewMs),
  });
});

/** The demo's services, payments with this share on site-a, as the planner would hand them over. */
function draft(siteA: number, more: { emergency?: boolean } = {}) {
  const services = [...inputs.services].map(([name, { policy }]): PlannedService => {
    const targets = [...policy.basePpm].map(([target, basePpm]) => {
      const share = name !== "payments" ? basePpm : target === "payments-site-a" ? siteA : 1_000_000 - siteA;
      const causes =
        share === basePpm ? [] : [{ kind: "forecast" as const, ref: "t", effectPpm: share - basePpm, text: "t" }];
      return { name: target, basePpm, weightPpm: share, stickyPpm: share, draining: false, causes };
    });
    return { name, mode: "steer", targets, why: "for the test", emergency: false };
  });
  const built = draftSet(services, writer.inForce?.tables ?? new Map(), 256);
  return {
    set: built.set,
    tables: built.tables,
    services,
    why: "for the test",
    trigger: "plan",
    author: { kind: "planner" as const, name: "test" },
    emergency: more.emergency ?? false,
  };
}

const siteA = () => writer.plansInForce().get("payments")!.targets[0]!.weightPpm;
const sound = async () => {
  await store.close();
  assert.deepEqual(auditVerify(path).faults, []);
};

test("a commit whose answer was lost is found in the store, and the next epoch follows it", async () => {
  await writer.write(draft(600_000));
  failing.commit = "after";
  await assert.rejects(writer.write(draft(650_000)), /STORE_UNREADABLE/);
  await writer.write(draft(700_000));
  assert.equal(siteA(), 700_000);
  assert.equal(writer.inForce!.record.parent, 2, "the lost one counts");
  assert.equal(fleet.restored.at(-1)!.committed!.epoch, 2, "and the fleet was told of it");
  for (const epoch of [1, 2]) assert.equal((await presentCheckpoint(store, epoch))!.state, "closed");
  await sound();
});

test("a commit that never reached the store leaves what serves, and the next epoch goes on from it", async () => {
  await writer.write(draft(600_000));
  failing.commit = "before";
  await assert.rejects(writer.write(draft(650_000)), /STORE_UNREADABLE/);
  assert.equal(siteA(), 600_000);
  await writer.write(draft(700_000));
  assert.deepEqual([writer.inForce!.record.parent, writer.inForce!.epoch], [1, 3]);
  await sound();
});

test("after the commit there is only forward: a fleet that cannot be told now is told later", async () => {
  await writer.write(draft(600_000));
  fleet.failActivation = new BallastError("XDS_SILENT", "for the test");
  assert.equal(await writer.write(draft(650_000)), true);
  assert.equal(siteA(), 650_000);
  assert.equal(fleet.restored.at(-1)!.committed!.epoch, 2);
  const [note] = (await store.history({ epoch: 2, kind: "note" })).map(({ body }) => body);
  assert.equal(note?.kind === "note" && (note.detail as { result: string }).result, "aborted");
  await writer.write(draft(700_000));
  await sound();
});

test("the skew of every epoch is in the log: when the first and when the last node acknowledged its activation", async () => {
  for (const [siteAPpm, firstAckMs, lastAckMs] of [
    [600_000, 3, 41],
    [650_000, 7, 7],
  ] as const) {
    fleet.activation = { tookMs: 50, firstAckMs, lastAckMs, acks: 2 };
    await writer.write(draft(siteAPpm));
  }
  fleet.activation = { firstAckMs: null, lastAckMs: null };
  await writer.write(draft(700_000));
  const notes = (await store.history({ kind: "note" })).flatMap(({ body }) =>
    body.kind === "note" && body.topic === "activation"
      ? [{ epoch: body.epoch, ...(body.detail as RoundSummary) }]
      : [],
  );
  assert.deepEqual(
    notes.map(({ epoch, firstAckMs, lastAckMs }) => [epoch, firstAckMs, lastAckMs]),
    [
      [1, 3, 41],
      [2, 7, 7],
      [3, null, null],
    ],
  );
  assert.deepEqual(skews, [38, 0, null], "and told with the epoch");
  await sound();
});

test("an emergency takes the place of a set that is not proved yet, and of no other", async () => {
  await writer.write(draft(600_000));
  fleet.keepOpen = true;
  const slow = writer.exclusively(false, () => writer.write(draft(650_000)));
  while (fleet.open === null) await new Promise((resolve) => setImmediate(resolve));
  fleet.keepOpen = false;
  const urgent = writer.exclusively(true, () => writer.write(draft(900_000, { emergency: true })));
  assert.equal(await slow, false);
  assert.equal(await urgent, true);
  assert.deepEqual(fleet.aborted, ["an emergency takes its place"]);
  assert.equal(siteA(), 900_000);
  writer.yieldTo("nothing");
  assert.equal(fleet.aborted.length, 1, "nothing is taken back when nothing is being proved");
  await sound();
});

test("a plan outside the bounds that reaches the writer is recorded as refused, with every reason", async () => {
  await writer.write(draft(600_000));
  assert.equal(await writer.write(draft(900_000)), false);
  assert.match(writer.failed!.reason, /largest step 300000 of 200000 ppm/);
  assert.equal(siteA(), 600_000);
  const entry = (await store.history({ epoch: 2, kind: "checkpoint" }))[0]!.body;
  assert.equal(entry.kind === "checkpoint" && entry.checkpoint.state, "refused");
  await sound();
});
