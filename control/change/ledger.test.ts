import assert from "node:assert/strict";
import { test } from "node:test";
import { BallastError } from "../../common/errors.ts";
import type { EntryBody } from "../checkpoint/chain.ts";
import { type Checkpoint, draft, move } from "../checkpoint/moves.ts";
import type { CheckpointRecord } from "../checkpoint/record.ts";
import { recordSet, testRecord } from "../checkpoint/test-records.ts";
import { awaiting, otherThanAuthor, roomFor, samePerson, stillApplies } from "./approvals.ts";
import { planned, target } from "./change.fixture.ts";
import { EMPTY_LEDGER, fold, foldAll, type LedgerState, type PendingChange, TOPIC } from "./ledger.ts";

const alice = { kind: "person", name: "alice" } as const;
const set = recordSet(400_000);

function active(epoch: number, more: Partial<CheckpointRecord> = {}, owed = false): EntryBody {
  const record = { ...testRecord(epoch, epoch - 1, set), ...more };
  const approval = owed
    ? ({ kind: "owed", by: { kind: "rule", name: "e" }, atMs: 10, dueMs: 20 } as const)
    : ({ kind: "rule", by: { kind: "rule", name: "r" }, atMs: 10 } as const);
  const round = {
    result: "proved",
    reason: "",
    tookMs: 0,
    firstAckMs: 0,
    lastAckMs: 0,
    asked: 0,
    acks: 0,
    nodes: [],
    omitted: 0,
  };
  const approved = move(move(draft(record), "validate", { verdicts: [] }, 1), "approve", { approval }, 2);
  const checkpoint: Checkpoint = move(move(approved, "stage", { round }, 3), "commit", { by: alice }, 4);
  return { kind: "checkpoint", epoch, checkpoint };
}

function pending(epoch: number, service: string): PendingChange {
  const { services: _services, ...record } = testRecord(epoch, 1, set);
  return {
    epoch,
    author: alice,
    why: "x",
    proposedAtMs: 0,
    expiresAtMs: 1_000,
    services: [
      {
        name: service,
        mode: "steer",
        beforeMode: "steer",
        why: "x",
        targets: [
          { name: "a", beforePpm: 400_000, weightPpm: 900_000, stickyPpm: 900_000, draining: false, causes: [] },
          { name: "b", beforePpm: 600_000, weightPpm: 100_000, stickyPpm: 100_000, draining: false, causes: [] },
        ],
        sessionsPpm: 0,
        sessionsText: "",
        slotsMoved: 0,
      },
    ],
    record,
    verdicts: [],
  };
}

const note = (topic: string, epoch: number | null, detail: unknown): EntryBody => ({
  kind: "note",
  epoch,
  topic,
  detail,
});
const waits = (epoch: number, service: string) => note(TOPIC.pending, epoch, pending(epoch, service));

function refused(epoch: number): EntryBody {
  const validated = move(draft(testRecord(epoch, 1, set)), "validate", { verdicts: [] }, 1);
  return { kind: "checkpoint", epoch, checkpoint: move(validated, "refuse", { by: alice, reason: "x" }, 2) };
}

test("a change waits until it is refused, aborted, or carried out under another epoch", () => {
  const two = foldAll(
    EMPTY_LEDGER,
    [waits(2, "s"), waits(3, "t")].map((body) => ({ body })),
  );
  assert.deepEqual(
    two.pending.map(({ epoch }) => epoch),
    [2, 3],
  );
  assert.deepEqual(
    fold(two, refused(2)).pending.map(({ epoch }) => epoch),
    [3],
  );
  assert.deepEqual(
    fold(two, active(7, { change: 3 })).pending.map(({ epoch }) => epoch),
    [2],
  );
  assert.deepEqual(fold(two, active(7)).pending.length, 2, "another epoch ends none of them");
});

test("an emergency owes its approval until it is given", () => {
  const owing = fold(EMPTY_LEDGER, active(2, { trigger: "health" }, true));
  assert.deepEqual(
    owing.owed.map(({ epoch, dueMs }) => [epoch, dueMs]),
    [[2, 20]],
  );
  assert.equal(awaiting(owing, 2).kind, "owed");
  assert.deepEqual(fold(owing, note(TOPIC.approval, 3, {})).owed.length, 1);
  assert.deepEqual(fold(owing, note(TOPIC.approval, 2, {})).owed, []);
});

test("a rollback and a kill switch hold the planner until resume; pins follow the newest epoch", () => {
  for (const trigger of ["rollback", "kill_switch"]) {
    const held = foldAll(
      EMPTY_LEDGER,
      [active(2, { trigger }), active(3)].map((body) => ({ body })),
    );
    assert.equal(held.held, true, "also after a later epoch");
    assert.equal(fold(held, note(TOPIC.resume, 3, { author: "a", services: ["s"] })).held, true);
    assert.equal(fold(held, note(TOPIC.resume, 3, { author: "a" })).held, false, "as older logs have it");
  }
  const service = { name: "s", mode: "steer", why: "", targets: [], pinned: { by: "alice", epoch: 2 } } as const;
  const pinned = fold(EMPTY_LEDGER, active(2, { services: [service] }));
  assert.deepEqual(pinned.pins, [{ service: "s", by: "alice", epoch: 2 }]);
  assert.deepEqual(fold(pinned, note(TOPIC.resume, 2, { author: "a", services: ["t"] })).pins.length, 1);
  assert.deepEqual(fold(pinned, note(TOPIC.resume, 2, { author: "a", services: ["s"] })).pins, []);
  assert.deepEqual(fold(pinned, active(3)).pins, []);
});

test("a snapshot of the ledger stands for everything before it", () => {
  const window = { id: "operator:1" };
  const entries = [waits(2, "s"), active(3, { trigger: "rollback" }, true), note(TOPIC.freeze, null, window)].map(
    (body) => ({ body }),
  );
  const state = foldAll(EMPTY_LEDGER, entries);
  const again = fold(EMPTY_LEDGER, note(TOPIC.ledger, null, JSON.parse(JSON.stringify(state))));
  assert.deepEqual(again, state);
  assert.deepEqual(fold(again, note(TOPIC.lift, null, { id: "operator:1" })).freezes, []);
});

const code = (work: () => unknown): string => {
  try {
    work();
    return "allowed";
  } catch (thrown) {
    return (thrown as BallastError).code;
  }
};

test("who may approve, and until when", () => {
  assert.equal(
    code(() => otherThanAuthor(alice, "bob")),
    "allowed",
  );
  for (const name of ["alice", " Alice ", "ALICE", "ａｌｉｃｅ"])
    assert.equal(
      code(() => otherThanAuthor(alice, name)),
      "SELF_APPROVAL",
      name,
    );
  assert.equal(
    code(() => otherThanAuthor({ kind: "planner", name: "alice" }, "alice")),
    "allowed",
  );
  assert.equal(samePerson("alice", "alicia"), false);

  const change = pending(2, "s");
  const force = (a: number, mode: "steer" | "observe" = "steer") =>
    new Map([["s", planned("s", [target("a", a), target("b", 1_000_000 - a)], { mode })]]);
  assert.equal(
    code(() => stillApplies(change, force(400_000), 999)),
    "allowed",
  );
  assert.equal(
    code(() => stillApplies(change, force(400_000), 1_000)),
    "CHANGE_EXPIRED",
  );
  assert.equal(
    code(() => stillApplies(change, force(400_001), 0)),
    "CHANGE_STALE",
  );
  assert.equal(
    code(() => stillApplies(change, force(400_000, "observe"), 0)),
    "CHANGE_STALE",
  );
  assert.equal(
    code(() => stillApplies(change, new Map(), 0)),
    "CHANGE_STALE",
  );
  const more = new Map([["s", planned("s", [target("a", 400_000), target("b", 600_000), target("c", 0)])]]);
  assert.equal(
    code(() => stillApplies(change, more, 0)),
    "CHANGE_STALE",
  );
});

test("one change of a service is in flight, and few in all", () => {
  const state: LedgerState = fold(EMPTY_LEDGER, waits(2, "s"));
  assert.equal(
    code(() => roomFor(state, ["s", "t"], 9)),
    "CHANGE_IN_FLIGHT",
  );
  assert.equal(
    code(() => roomFor(state, ["t"], 9)),
    "allowed",
  );
  assert.equal(
    code(() => roomFor(state, ["t"], 1)),
    "CHANGES_FULL",
  );
  assert.equal(
    code(() => awaiting(state, 9)),
    "CHANGE_NOT_FOUND",
  );
  assert.ok(new BallastError("CHANGE_NOT_FOUND", "x").hint.length > 0);
});
