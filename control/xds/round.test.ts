import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeKey } from "./nodes.ts";
import { type Quorum, Round } from "./round.ts";

const node = (id: string, instance = "1") => ({ id, instance, key: nodeKey({ id, instance }) });

const ended = (r: Round) => r.outcome !== null;

function round(quorum: Quorum, ...ids: string[]): Round {
  const options = { kind: "stage", epoch: 5, term: 1, version: "5-aa", quorum } as const;
  return new Round(
    { ...options, startedAtMs: 1_000, deadlineAtMs: 2_000 },
    ids.map((id) => node(id)),
  );
}

test("all: proved with the last acknowledgement, and the skew is measured", () => {
  const r = round("all", "a", "b");
  r.answer(node("a").key, "ack", 1_010);
  assert.equal(ended(r), false);
  r.answer(node("b").key, "ack", 1_025);
  const { ok, result, firstAckMs, lastAckMs, tookMs, acks } = r.outcome!;
  assert.deepEqual(
    { ok, result, firstAckMs, lastAckMs, tookMs, acks },
    { ok: true, result: "proved", firstAckMs: 10, lastAckMs: 25, tookMs: 25, acks: 2 },
  );
});

test("all: the first refusal ends it, later answers change nothing", () => {
  const r = round("all", "a", "b", "c");
  r.answer(node("a").key, "ack", 1_010);
  r.answer(node("b").key, "nack", 1_020, "SET_TOO_LARGE");
  const outcome = r.outcome;
  assert.equal(outcome?.result, "refused");
  assert.equal(outcome?.reason, "b: SET_TOO_LARGE");
  r.answer(node("c").key, "ack", 1_030);
  assert.equal(r.outcome, outcome);
});

test("all: the deadline ends it as timed out, not a moment before", () => {
  const r = round("all", "a", "b");
  r.answer(node("a").key, "ack", 1_010);
  r.expire(1_999);
  assert.equal(ended(r), false);
  r.expire(2_000);
  assert.equal(r.outcome?.result, "timed_out");
  assert.equal(r.outcome?.ok, false);
});

test("whoever: refusals and silence are noted, and one acknowledgement carries it", () => {
  const r = round("whoever", "a", "b", "c");
  r.answer(node("a").key, "nack", 1_010, "no");
  r.answer(node("b").key, "ack", 1_020);
  assert.equal(ended(r), false);
  r.expire(2_000);
  assert.equal(r.outcome?.result, "proved");
  assert.deepEqual(
    r.outcome?.nodes.map(({ id, answer, afterMs }) => [id, answer, afterMs]),
    [
      ["a", "nack", 10],
      ["b", "ack", 20],
      ["c", "none", null],
    ],
  );
});

test("whoever: without any acknowledgement it is not proved", () => {
  const refused = round("whoever", "a");
  refused.answer(node("a").key, "nack", 1_010, "no");
  assert.equal(refused.outcome?.result, "refused");
  const silent = round("whoever", "a");
  silent.expire(2_000);
  assert.equal(silent.outcome?.result, "timed_out");
});

test("a fleet without nodes proves at once", () => {
  assert.equal(round("all").outcome?.result, "proved");
  assert.equal(round("whoever").outcome?.result, "proved");
});

test("strangers and second answers do not count", () => {
  const r = round("all", "a", "b");
  r.answer(node("x").key, "ack", 1_010);
  r.answer(node("a").key, "ack", 1_010);
  r.answer(node("a").key, "ack", 1_011);
  assert.equal(ended(r), false);
});

test("a successor inherits an open vote, never one that was given", () => {
  const r = round("all", "a", "b");
  r.inherit(node("a").key, node("a", "2"));
  assert.equal(r.has(node("a").key), false);
  r.answer(node("a", "2").key, "ack", 1_010);
  r.answer(node("b").key, "ack", 1_020);
  assert.equal(r.outcome?.ok, true);
  const given = round("all", "a", "b");
  given.answer(node("a").key, "ack", 1_010);
  given.inherit(node("a").key, node("a", "2"));
  assert.equal(given.has(node("a").key), true);
});

test("an abort ends an open round with its reason and leaves a closed one alone", () => {
  const r = round("all", "a");
  r.abort("an emergency goes first", 1_500);
  assert.equal(r.outcome?.result, "aborted");
  assert.equal(r.outcome?.reason, "an emergency goes first");
  const done = round("all");
  done.abort("too late", 1_500);
  assert.equal(done.outcome?.result, "proved");
});
