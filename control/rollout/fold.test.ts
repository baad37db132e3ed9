import assert from "node:assert/strict";
import { test } from "node:test";
import { TOPIC } from "../change/ledger.ts";
import type { EntryBody } from "../checkpoint/chain.ts";
import type { CheckpointRecord } from "../checkpoint/record.ts";
import { activeCheckpoint, recordSet, testRecord } from "../checkpoint/test-records.ts";
import type { Unit } from "../checkpoint/unit.ts";
import { NO_ROLLOUTS } from "./flight.ts";
import { foldRollout, ROLLOUT_TOPIC } from "./fold.ts";

const unit = (id: number, service: string, change: Partial<Unit> = {}): Unit => ({
  id,
  kind: "change",
  services: [
    {
      name: service,
      by: "nodes",
      formerTable: "00000000000000aa",
      former: { mode: "steer", why: "", targets: [] },
      goal: { mode: "steer", why: "", targets: [] },
      path: [],
    },
  ],
  cohorts: [0, 1_000_000],
  steps: 2,
  step: 0,
  previous: null,
  author: { kind: "planner", name: "p" },
  why: "",
  trigger: "plan",
  approval: { kind: "rule", by: { kind: "rule", name: "" }, atMs: 0 },
  inputs: "i",
  ...change,
});
const set = recordSet(600_000);
const commit = (epoch: number, change: Partial<CheckpointRecord>): EntryBody => ({
  kind: "checkpoint",
  epoch,
  checkpoint: activeCheckpoint({ ...testRecord(epoch, epoch - 1, set), ...change }),
});
const cohort = (of: number): NonNullable<CheckpointRecord["cohort"]> => ({
  unit: of,
  upTo: "0000000000000010",
  nodes: 1,
  of: 8,
  rest: { setDigest: "", tables: [] },
});
const watch = (epoch: number, of: number): EntryBody => ({
  kind: "note",
  epoch,
  topic: ROLLOUT_TOPIC.watch,
  detail: { unit: of, sinceMs: 1, bakeUntilMs: 9, before: { a: { requests: 5 } }, asked: 8, failed: 1 },
});
const moved = (epoch: number, name: "bake" | "close" | "supersede"): EntryBody => ({
  kind: "move",
  epoch,
  move: { move: name, from: "active", to: "baked", atMs: 0, detail: { text: "" } },
});
const resume = (services: string[] | null): EntryBody => ({
  kind: "note",
  epoch: null,
  topic: TOPIC.resume,
  detail: { author: "alice", services },
});
const fold = (...bodies: EntryBody[]) => bodies.reduce(foldRollout, NO_ROLLOUTS);
const phases = (state: typeof NO_ROLLOUTS) => state.flights.map(({ id, epoch, phase }) => `${id}@${epoch} ${phase}`);

const begun = [commit(5, { rollout: unit(5, "a"), cohort: cohort(5) }), watch(5, 5)];

test("a unit goes from activating over baking to passed, step by step, and is gone when it is closed", () => {
  assert.deepEqual(phases(fold(begun[0]!)), ["5@5 activating"]);
  const baking = fold(...begun);
  assert.deepEqual(phases(baking), ["5@5 baking"]);
  assert.deepEqual([baking.flights[0]!.upTo, baking.flights[0]!.failed], ["0000000000000010", 1]);
  assert.deepEqual(phases(fold(...begun, moved(5, "bake"))), ["5@5 passed"]);
  const second = fold(
    ...begun,
    moved(5, "bake"),
    commit(6, { rollout: unit(5, "a", { step: 1, previous: 5 }) }),
    moved(5, "supersede"),
  );
  assert.deepEqual(phases(second), ["5@6 activating"]);
  assert.equal(second.flights[0]!.upTo, null, "all nodes have it");
  assert.deepEqual(
    second.flights[0]!.before,
    { a: { requests: 5 } },
    "what was before the change, not before the step",
  );
  const done = [watch(6, 5), moved(6, "bake"), moved(6, "close")].reduce(foldRollout, second);
  assert.deepEqual(done, NO_ROLLOUTS);
});

test("another unit's epoch leaves a cohort as it is, also when it carries it on", () => {
  const state = fold(...begun, commit(6, { rollout: unit(6, "b"), cohort: cohort(5) }));
  assert.deepEqual(phases(state), ["5@5 baking", "6@6 activating"]);
  assert.deepEqual(
    state.flights.map(({ upTo }) => upTo),
    ["0000000000000010", null],
  );
});

test("the commit of a rollback ends the unit, and blocks its services only when it was automatic", () => {
  const ended = (automatic: boolean) =>
    fold(...begun, commit(6, { ends: [{ unit: 5, epoch: 5, how: "rolled_back", automatic, reason: "errors" }] }));
  assert.deepEqual(ended(false), NO_ROLLOUTS);
  const { flights, blocks } = ended(true);
  assert.deepEqual(flights, []);
  assert.deepEqual(blocks, [
    { service: "a", epoch: 5, byEpoch: 6, reason: "errors", inputs: "i", count: 1, holds: true },
  ]);
});

test("a block that is lifted still counts, and a person's resume forgets it", () => {
  const ends = (epoch: number, of: number) =>
    commit(epoch, { ends: [{ unit: of, epoch: of, how: "rolled_back", automatic: true, reason: "errors" }] });
  const lift: EntryBody = {
    kind: "note",
    epoch: null,
    topic: ROLLOUT_TOPIC.lift,
    detail: { services: ["a"], reason: "inputs" },
  };
  const lifted = fold(...begun, ends(6, 5), lift);
  assert.deepEqual([lifted.blocks[0]!.holds, lifted.blocks[0]!.count], [false, 1]);
  const again = [commit(7, { rollout: unit(7, "a") }), ends(8, 7)].reduce(foldRollout, lifted);
  assert.deepEqual([again.blocks[0]!.holds, again.blocks[0]!.count], [true, 2]);
  assert.equal(foldRollout(again, resume(["b"])).blocks.length, 1);
  assert.equal(foldRollout(again, resume(["a"])).blocks.length, 0);
  assert.equal(foldRollout(again, resume(null)).blocks.length, 0);
});

test("a snapshot stands for everything before it; what ended before its commit changes nothing", () => {
  const state = fold(...begun);
  const snapshot: EntryBody = { kind: "note", epoch: null, topic: ROLLOUT_TOPIC.state, detail: state };
  assert.deepEqual(foldRollout(NO_ROLLOUTS, snapshot), state);
  const aborted = commit(6, { rollout: unit(6, "b") }) as Extract<EntryBody, { kind: "checkpoint" }>;
  const body: EntryBody = { ...aborted, checkpoint: { ...aborted.checkpoint, state: "aborted" } };
  assert.equal(foldRollout(state, body), state);
});
