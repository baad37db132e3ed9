import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Checkpoint,
  type CheckpointState,
  draft,
  lastMove,
  MOVES,
  type MoveDetails,
  type MoveName,
  move,
  stateAfter,
} from "./moves.ts";
import { activeCheckpoint, recordSet, testRecord } from "./test-records.ts";

const record = testRecord(1, 0, recordSet(600_000));
const states = Object.keys(MOVES) as CheckpointState[];
const moves: MoveName[] = [
  "validate",
  "refuse",
  "approve",
  "stage",
  "commit",
  "abort",
  "bake",
  "close",
  "rollBack",
  "supersede",
];

test("of all pairs of state and move exactly the documented ones are possible", () => {
  const possible = states.flatMap((from) =>
    moves.flatMap((name) => {
      const to = stateAfter(from, name);
      return to === undefined ? [] : [`${from} ${name} ${to}`];
    }),
  );
  assert.deepEqual(possible, [
    "draft validate validated",
    "draft refuse refused",
    "validated refuse refused",
    "validated approve approved",
    "approved stage staged",
    "approved abort aborted",
    "staged commit active",
    "staged abort aborted",
    "active bake baked",
    "active rollBack rolledBack",
    "active supersede closed",
    "baked close closed",
    "baked rollBack rolledBack",
    "baked supersede closed",
  ]);
});

test("every other move is refused with a code, for a state that only the run time knows", () => {
  let refused = 0;
  for (const from of states) {
    for (const name of moves) {
      if (stateAfter(from, name) !== undefined) continue;
      const stored = { state: from, record, moves: [] } as Checkpoint as Checkpoint<"draft">;
      const detail = {} as MoveDetails["validate"];
      assert.throws(() => move(stored, name as "validate", detail, 0), { code: "CHECKPOINT_ILLEGAL_MOVE" });
      refused += 1;
    }
  }
  assert.equal(refused, states.length * moves.length - 14);
  assert.equal(stateAfter("draft", "toString" as MoveName), undefined);
});

test("a move that cannot be does not compile", () => {
  const fresh = draft(record);
  assert.throws(() => {
    // @ts-expect-error a draft cannot be staged
    move(fresh, "stage", { round: {} }, 0);
  });
  assert.throws(() => {
    // @ts-expect-error an active checkpoint cannot be aborted: after commit there is only forward
    move(activeCheckpoint(record), "abort", { reason: "" }, 0);
  });
});

test("a checkpoint keeps its record and every move with time and detail, and moves leave the old value alone", () => {
  const active = activeCheckpoint(record);
  assert.deepEqual(
    active.moves.map(({ from, move: name, to }) => `${from} ${name} ${to}`),
    ["draft validate validated", "validated approve approved", "approved stage staged", "staged commit active"],
  );
  const baked = move(active, "bake", { text: "600 s without a breach" }, 9);
  assert.equal(active.moves.length, 4);
  assert.equal(baked.record, active.record);
  assert.deepEqual(lastMove(baked), {
    move: "bake",
    from: "active",
    to: "baked",
    atMs: 9,
    detail: { text: "600 s without a breach" },
  });
});
