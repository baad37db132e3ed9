import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Cohort, cohortOf, positionOf, setAt } from "./cohort.ts";
import type { FleetStream } from "./fleet.ts";
import { versionOf } from "./resources.ts";
import { rig } from "./test-fleet.ts";
import { testSet } from "./test-sets.ts";

const before = testSet({ payments: 600_000 });
const ahead = testSet({ payments: 700_000 });
const emergency = testSet({ payments: 500_000 });
const all = { deadlineMs: 1_000, quorum: "all" } as const;
const ids = ["edge-1", "edge-2", "edge-3", "edge-4"];
const [first, second] = [...ids].sort((a, b) => (positionOf(a) < positionOf(b) ? -1 : 1)) as [string, string];

/** A fleet of four on epoch 1. */
function fleetOfFour(maxNodes = 8) {
  const r = rig(maxNodes);
  const streams = new Map(ids.map((id) => [id, r.join(id)]));
  const each = (work: (stream: FleetStream<string>, id: string) => void) => {
    for (const [id, stream] of streams) work(stream, id);
  };
  const release = (epoch: number, set: typeof before, cohort?: Cohort, refuses?: string) => {
    r.fleet.stage({ epoch, term: 1, set, ...(cohort === undefined ? {} : { cohort }) }, all);
    each((stream) => {
      r.drain(stream);
      r.answer(stream, "stage");
    });
    r.fleet.activate({ epoch, mode: "steer", deadlineMs: 1_000 });
    each((stream, id) => {
      r.drain(stream);
      r.answer(stream, "activation", id === refuses ? "HANDOVER_FAILED" : undefined);
    });
  };
  release(1, before);
  const versions = () => Object.fromEntries([...r.fleet.nodes.values()].map((node) => [node.id, node.activeVersion]));
  return { ...r, streams, each, release, versions };
}

test("a cohort has exactly as many of the connected nodes as asked for, and each larger one holds the smaller", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 60 }),
      (nodes) => {
        const within = (count: number) => {
          const upTo = cohortOf(nodes, count);
          return nodes.filter((id) => setAt({ set: ahead, cohort: { upTo, rest: before } }, positionOf(id)) === ahead);
        };
        let smaller: string[] = [];
        for (let count = 1; count <= nodes.length; count++) {
          const members = within(count);
          assert.equal(members.length, count);
          assert.ok(smaller.every((id) => members.includes(id)));
          smaller = members;
        }
      },
    ),
  );
});

test("one node goes ahead: it alone gets the new set, all prove theirs, and the epoch is the same everywhere", () => {
  const r = fleetOfFour();
  r.release(2, ahead, { upTo: cohortOf(ids, 1), rest: before });
  const staged = r.outcomes.at(-2)!;
  assert.deepEqual([staged.kind, staged.acks, staged.ok], ["stage", 4, true]);
  assert.deepEqual(
    r.versions(),
    Object.fromEntries(ids.map((id) => [id, versionOf(2, (id === first ? ahead : before).digest)])),
  );
});

test("a joiner gets the set of its place, also in a server that took over, and is not found to be ahead of the store", () => {
  const cohort = { upTo: cohortOf(ids, 2), rest: before };
  const r = rig(8);
  r.fleet.restore({ reservedEpoch: 2, committed: { epoch: 2, term: 1, mode: "steer", set: ahead, cohort } });
  for (const id of ids) {
    const set = setAt({ set: ahead, cohort }, positionOf(id));
    const newcomer = r.join(id);
    assert.deepEqual(r.drain(newcomer), ["stage 2", "activation 2"]);
    assert.equal(newcomer.subscriptions.stage.sent, versionOf(2, set.digest));
    const held = versionOf(2, set.digest);
    const returning = r.join(id, { stage: held, activation: held }, "2");
    assert.deepEqual(r.drain(returning), []);
  }
  assert.deepEqual([r.fleet.behind], [null]);
  const wrong = positionOf(ids[0]!) <= cohort.upTo ? before : ahead;
  r.join(ids[0]!, { activation: versionOf(2, wrong.digest) }, "3");
  assert.match(String(r.fleet.behind?.message), /EPOCH_BEHIND_FLEET.*other tables/);
});

test("the cohort grows with the next epoch, and whoever was ahead is sent no table again", () => {
  const r = fleetOfFour();
  r.release(2, ahead, { upTo: cohortOf(ids, 1), rest: before });
  r.release(3, ahead, { upTo: cohortOf(ids, 2), rest: before });
  assert.deepEqual(
    Object.entries(r.versions())
      .filter(([, version]) => version === versionOf(3, ahead.digest))
      .map(([id]) => id)
      .sort(),
    [first, second].sort(),
  );
});

test("a rollback out of a cohort is a Stage and an Activation for every node, and no table", () => {
  const r = fleetOfFour();
  r.release(2, ahead, { upTo: cohortOf(ids, 1), rest: before });
  r.fleet.stage({ epoch: 3, term: 1, set: before }, all);
  r.each((stream) => {
    assert.deepEqual(r.drain(stream), ["stage 3"]);
    r.answer(stream, "stage");
  });
  r.fleet.activate({ epoch: 3, mode: "steer", deadlineMs: 1_000 });
  r.each((stream) => {
    assert.deepEqual(r.drain(stream), ["activation 3"]);
    r.answer(stream, "activation");
  });
  assert.deepEqual(new Set(Object.values(r.versions())), new Set([versionOf(3, before.digest)]));
});

test("a node that refuses an activation is told to pass requests through at once, and begins anew with the next epoch", () => {
  const r = fleetOfFour();
  r.release(2, emergency, undefined, "edge-3");
  const outcome = r.outcomes.at(-1)!;
  assert.deepEqual([outcome.kind, outcome.acks, outcome.ok], ["activate", 3, true]);
  assert.ok(r.warnings.includes("edge-3: quarantined in 2: HANDOVER_FAILED"));
  const node = [...r.fleet.nodes.values()].find(({ id }) => id === "edge-3")!;
  const stream = r.streams.get("edge-3")!;
  const passthrough = r.fleet.next(stream)!;
  assert.deepEqual([passthrough.kind, passthrough.version], ["activation", versionOf(2, emergency.digest)]);
  assert.notEqual(passthrough.nonce, `${passthrough.version}/a`);
  r.fleet.wrote(stream, passthrough);
  r.answer(stream, "activation");
  assert.deepEqual(r.drain(stream), [], "told once");
  assert.deepEqual(node.quarantine, { epoch: 2, reason: "HANDOVER_FAILED" });
  assert.equal(node.failures, 1, "passing through is no recovery");
  r.release(3, ahead);
  assert.equal(node.quarantine, null);
  assert.equal(node.activeVersion, versionOf(3, ahead.digest));
});

test("a node that is silent until the deadline has failed and is not quarantined: it may come to use the epoch yet", () => {
  const r = fleetOfFour();
  r.fleet.stage({ epoch: 2, term: 1, set: ahead }, all);
  r.each((stream) => {
    r.drain(stream);
    r.answer(stream, "stage");
  });
  r.fleet.activate({ epoch: 2, mode: "steer", deadlineMs: 1_000 });
  r.each((stream, id) => {
    r.drain(stream);
    if (id !== "edge-1") r.answer(stream, "activation");
  });
  r.pass(1_000);
  const node = [...r.fleet.nodes.values()].find(({ id }) => id === "edge-1")!;
  assert.deepEqual([node.failures, node.quarantine], [1, null]);
  const stream = r.streams.get("edge-1")!;
  assert.deepEqual(r.drain(stream), []);
  r.answer(stream, "activation");
  assert.deepEqual([node.failures, node.activeVersion], [0, versionOf(2, ahead.digest)]);
  r.fleet.close(stream);
  const back = r.join("edge-1", { stage: versionOf(2, ahead.digest), activation: versionOf(1, before.digest) });
  assert.deepEqual(r.drain(back), ["activation 2"]);
});

test("a server that takes over knows whom its predecessor quarantined", () => {
  const r = rig(8);
  r.fleet.restore({
    reservedEpoch: 2,
    committed: { epoch: 2, term: 1, mode: "steer", set: ahead },
    quarantined: [{ id: "edge-1", instance: "1", reason: "HANDOVER_FAILED" }],
  });
  const held = versionOf(2, ahead.digest);
  const node = r.join("edge-1", { stage: held, activation: held });
  const again = r.fleet.next(node)!;
  assert.equal(again.nonce, `${held}/a+`);
  const restarted = r.join("edge-1", {}, "2");
  assert.deepEqual(r.drain(restarted), ["stage 2", "activation 2"]);
  assert.equal(restarted.subscriptions.activation.nonce, `${held}/a`);
});
