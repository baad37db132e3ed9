import assert from "node:assert/strict";
import { test } from "node:test";
import { Tally } from "./tally.ts";

const half = new Map([
  ["a", 0.5],
  ["b", 0.5],
]);

function add(
  tally: Tally,
  target: string | null,
  second: number,
  more: { ok?: boolean; counted?: boolean; latencyMs?: number } = {},
): void {
  tally.add({ target, ok: true, latencyMs: 10, second, planned: tally.planned, counted: true, ...more });
}

test("totals begin with the first counted request", () => {
  const tally = new Tally(half, 5);
  add(tally, "a", 1);
  tally.startCounting();
  add(tally, "a", 2, { counted: false });
  add(tally, "b", 2);
  assert.equal(tally.totals().requests, 1);
  assert.equal(tally.totals().targets.b?.actual, 1);
});

test("planned is the mean of the weights in force over the requests, so that it compares with actual", () => {
  const tally = new Tally(half, 5);
  tally.startCounting();
  for (const target of ["a", "b", "a", "b"]) add(tally, target, 1);
  tally.plan(
    new Map([
      ["a", 1],
      ["b", 0],
    ]),
  );
  for (const target of ["a", "a", "a", "a"]) add(tally, target, 2);
  const { a, b } = tally.totals().targets;
  assert.deepEqual([a?.planned, a?.actual, b?.planned, b?.actual], [0.75, 0.75, 0.25, 0.25]);
  assert.equal(tally.recent(3).targets.a?.planned, 1);
});

test("an error that no target can be blamed for counts for the service alone", () => {
  const tally = new Tally(half, 5);
  tally.startCounting();
  add(tally, null, 1, { ok: false });
  add(tally, "a", 1, { ok: false });
  const { errors, targets } = tally.totals();
  assert.deepEqual([errors, targets.a?.errors, targets.b?.errors], [2, 1, 0]);
});

test("the last seconds slide: what is older than the window is gone, and the running second is not in it yet", () => {
  const tally = new Tally(half, 5);
  add(tally, "a", 100);
  add(tally, "b", 104);
  add(tally, "b", 106);
  assert.equal(tally.recent(105).requests, 2);
  assert.equal(tally.recent(106).requests, 1);
  assert.equal(tally.recent(200).requests, 0);
});
