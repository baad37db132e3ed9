import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type PendingChange, TOPIC } from "../change/ledger.ts";
import type { EntryBody } from "../checkpoint/chain.ts";
import { draft, type MoveDetails, type MoveName, move } from "../checkpoint/moves.ts";
import type { Approval, CheckpointRecord } from "../checkpoint/record.ts";
import { activeCheckpoint, recordSet, testRecord } from "../checkpoint/test-records.ts";
import {
  EMPTY_TICKETS,
  foldTickets,
  TICKET_TOPIC,
  type TicketLedger,
  type TicketRules,
  withoutHistory,
} from "./ticket-log.ts";

const RULES: TicketRules = { fleet: "demo", standard: true, ciOf: () => "ci", windowMs: 1000, maxLives: 3 };
const TICKET = { id: "1", number: "CHG1", url: "https://example.org" };

const record = (epoch: number, over: Partial<CheckpointRecord> = {}): CheckpointRecord => ({
  ...testRecord(epoch, epoch - 1, recordSet(300_000)),
  ...over,
});
const commit = (epoch: number, over: Partial<CheckpointRecord> = {}): EntryBody => ({
  kind: "checkpoint",
  epoch,
  checkpoint: activeCheckpoint(record(epoch, over)),
});
const owedCommit = (epoch: number): EntryBody => {
  const checkpoint = activeCheckpoint(record(epoch, { changeType: "standard" }));
  const owed: Approval = { kind: "owed", by: { kind: "rule", name: "x" }, atMs: 1, dueMs: 2 };
  const moves = checkpoint.moves.map((made) =>
    made.move === "approve" ? { ...made, detail: { approval: owed } } : made,
  );
  return { kind: "checkpoint", epoch, checkpoint: { ...checkpoint, moves } };
};
const pending = (epoch: number, over: Partial<PendingChange["record"]> = {}): EntryBody => {
  const { services: _none, ...rest } = record(epoch, { changeType: "normal" });
  const detail: PendingChange = {
    epoch,
    author: { kind: "person", name: "alice" },
    why: "less on pay-a",
    proposedAtMs: 10,
    expiresAtMs: 20,
    services: [],
    record: { ...rest, ...over },
    verdicts: [],
  };
  return { kind: "note", epoch, topic: TOPIC.pending, detail };
};
const moved = <M extends MoveName>(epoch: number, name: M, detail: MoveDetails[M], atMs = 99): EntryBody => ({
  kind: "move",
  epoch,
  move: { move: name, from: "active", to: "baked", atMs, detail },
});
const aborted = (epoch: number): EntryBody => {
  const validated = move(draft(record(epoch)), "validate", { verdicts: [] }, 1);
  const checkpoint = move(validated, "refuse", { by: { kind: "person", name: "bob" }, reason: "too much" }, 2);
  return { kind: "checkpoint", epoch, checkpoint };
};
const note = (epoch: number, topic: string, detail: unknown): EntryBody => ({ kind: "note", epoch, topic, detail });
const foldAll = (bodies: readonly EntryBody[], rules = RULES, from: TicketLedger = EMPTY_TICKETS) =>
  bodies.reduce((state, body) => foldTickets(state, body, rules), from);
const goalsOf = ({ lives }: TicketLedger) => lives.map(({ epoch, goal }) => [epoch, goal.kind]);

describe("what the log asks of a ticket", () => {
  test("the ticket of a waiting change goes on under the epoch that carried it out, and survives its formal end", () => {
    const state = foldAll([pending(5), commit(6, { change: 5, changeType: "normal" }), aborted(5)]);
    assert.deepEqual(goalsOf(state), [[5, "implement"]]);
    assert.equal(state.lives[0]!.carriedOutAs, 6);
    const baked = foldAll([moved(6, "bake", { text: "fine" })], RULES, state);
    assert.deepEqual(goalsOf(baked), [[5, "close"]]);
  });

  test("one ticket follows a change through all its steps, and ends with the last or with the step that is taken back", () => {
    const step = (epoch: number, previous: number | null): EntryBody => {
      const rollout = { id: 6, previous } as CheckpointRecord["rollout"];
      return commit(epoch, {
        change: epoch === 6 ? 5 : undefined,
        changeType: "normal",
        rollout,
      } as Partial<CheckpointRecord>);
    };
    const more = moved(6, "bake", { text: "fine", more: true });
    const second = foldAll([pending(5), step(6, null), more, step(7, 6), moved(6, "supersede", { byEpoch: 7 })]);
    assert.deepEqual(goalsOf(second), [[5, "implement"]]);
    const codeOf = (body: EntryBody) => {
      const { goal } = foldAll([body], RULES, second).lives[0]!;
      return goal.kind === "close" ? goal.outcome.code : goal.kind;
    };
    assert.equal(codeOf(moved(7, "bake", { text: "fine" })), "successful");
    assert.equal(codeOf(moved(7, "rollBack", { byEpoch: 8, reason: "errors" })), "unsuccessful");
  });

  test("a refused change's ticket is cancelled with the reason", () => {
    const [life] = foldAll([pending(5), aborted(5)]).lives;
    assert.deepEqual(life!.goal, { kind: "cancel", reason: "too much" });
  });

  test("a good outcome may become worse and never better", () => {
    const codeAfter = (...bodies: EntryBody[]) => {
      const { goal } = foldAll([commit(7), ...bodies]).lives[0]!;
      return goal.kind === "close" ? goal.outcome.code : goal.kind;
    };
    const bake = moved(7, "bake", { text: "fine" });
    const supersede = moved(7, "supersede", { byEpoch: 8 });
    const rollBack = moved(7, "rollBack", { byEpoch: 8, reason: "errors" });
    assert.equal(codeAfter(), "implement");
    assert.equal(codeAfter(bake), "successful");
    assert.equal(codeAfter(supersede), "successful_issues");
    assert.equal(codeAfter(bake, supersede), "successful");
    assert.equal(codeAfter(bake, rollBack), "unsuccessful");
    assert.equal(codeAfter(rollBack, bake), "unsuccessful");
  });

  test("what was let through a freeze owes its approval, whatever its type, until a note gives it", () => {
    const state = foldAll([owedCommit(7)]);
    assert.deepEqual([state.lives[0]!.type, state.lives[0]!.owed], ["emergency", true]);
    assert.equal(foldAll([note(7, TOPIC.approval, {})], RULES, state).lives[0]!.owed, false);
  });

  test("the approval owed by a carried-out change is found under its own epoch", () => {
    const broken = owedCommit(6) as Extract<EntryBody, { kind: "checkpoint" }>;
    const carried = {
      ...broken,
      checkpoint: { ...broken.checkpoint, record: { ...broken.checkpoint.record, change: 5 } },
    };
    const state = foldAll([pending(5), carried]);
    assert.equal(state.lives[0]!.owed, true);
    assert.equal(foldAll([note(6, TOPIC.approval, {})], RULES, state).lives[0]!.owed, false);
  });

  test("standard changes without a template and changes with a ticket of their own get none", () => {
    assert.deepEqual(foldAll([commit(1)], { ...RULES, standard: false }).lives, []);
    assert.deepEqual(foldAll([pending(2, { ticket: "CHG9" }), commit(3, { ticket: "CHG9", change: 2 })]).lives, []);
  });

  test("notes say what was done; the same note twice changes nothing more", () => {
    const opened = note(5, TICKET_TOPIC.opened, { ticket: TICKET, ignored: [] });
    const once = foldAll([pending(5), note(5, TICKET_TOPIC.opening, { correlationId: "x" }), opened]);
    assert.deepEqual([once.lives[0]!.ticket, once.lives[0]!.opening], [TICKET, false]);
    assert.deepEqual(foldAll([opened], RULES, once), once);
    assert.deepEqual(foldAll([note(5, TICKET_TOPIC.finished, { why: "" })], RULES, once).lives, []);
  });
});

test("beyond the bound, what was approved by rule makes room for what was not", () => {
  const full = foldAll([commit(1), commit(2), commit(3), commit(4)]);
  assert.deepEqual(
    goalsOf(full).map(([epoch]) => epoch),
    [1, 2, 3],
  );
  assert.equal(full.skipped, 1);
  const more = foldAll([pending(5)], RULES, full);
  assert.deepEqual(
    goalsOf(more).map(([epoch]) => epoch),
    [2, 3, 5],
  );
  assert.equal(more.skipped, 2);
});

test("of a log that was never followed only what waits or owes gets a ticket", () => {
  const state = foldAll([commit(1), moved(1, "supersede", { byEpoch: 2 }), owedCommit(2), pending(3)]);
  assert.deepEqual(goalsOf(withoutHistory(state)), [
    [2, "implement"],
    [3, "approve"],
  ]);
});
