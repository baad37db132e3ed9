import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../demo/random.ts";
import type { Metrics, Objective } from "./metrics.ts";
import { atLeast, breachOf } from "./objective.ts";

const objective: Objective = { errorsPpm: 10_000, latencyMs: 200, quantile: 0.99 };
const seen = (requests: number, failed: number, slow = 0): Metrics => ({
  requests,
  failed,
  timed: requests,
  slow,
  quantileMs: null,
});
const breach = (after: Metrics, before: Metrics | null = null, untouched: Metrics | null = null) =>
  breachOf(objective, { after, before, untouched });

test("the lower end of the interval is that of Wilson's formula", () => {
  // 10 of 100 at 1.96: 0.0552 … 0.1744 in every table of the interval.
  assert.ok(Math.abs(atLeast(10, 100, 1.96) - 0.0552) < 1e-4);
  assert.equal(atLeast(0, 100, 3), 0);
  assert.equal(atLeast(0, 0, 3), 0);
});

test("the lower end never exceeds the share, and comes closer with more requests", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e6 }), fc.double({ min: 0, max: 1, noNaN: true }), (of, share) => {
      const hits = Math.floor(of * share);
      const low = atLeast(hits, of, 3);
      assert.ok(low >= 0 && low <= hits / of + 1e-12);
      assert.ok(atLeast(10 * hits, 10 * of, 3) >= low - 1e-12);
    }),
  );
});

test("one failure among few requests proves nothing, many do", () => {
  assert.equal(breach(seen(20, 1)), null);
  assert.match(String(breach(seen(200, 20))), /20 of 200 requests failed, the objective is 1 %/);
  assert.equal(breach(seen(0, 0)), null, "a service that nobody asks breaks no promise");
});

test("errors above the objective are no breach where it was as bad before, or is at untouched nodes", () => {
  assert.equal(breach(seen(1000, 100), seen(1000, 100)), null);
  assert.equal(breach(seen(1000, 100), seen(1000, 0), seen(1000, 100)), null);
  assert.match(String(breach(seen(1000, 100), seen(1000, 1), seen(1000, 20))), /0.1 % before, 2 % at untouched nodes/);
});

/** Looks twice a second for five minutes at ten requests a second, as a bake does; the number of the look that finds a breach. */
function lookOfBreach(share: number, random: () => number): number | null {
  const some = (count: number): number => Array.from({ length: count }).filter(() => random() < share).length;
  const before = seen(3_000, some(3_000));
  let failed = 0;
  for (let look = 1; look <= 600; look++) {
    failed += some(5);
    if (breach(seen(5 * look, failed), share < 0.01 ? before : seen(3_000, 0)) !== null) return look;
  }
  return null;
}

test("over a whole bake a service well within its objective is left alone, and one that fails is found", () => {
  const random = seededRandom(7);
  const healthy = Array.from({ length: 200 }, () => lookOfBreach(0.005, random));
  assert.ok(healthy.filter((look) => look !== null).length <= 2, "at half of it: 0.1 % of bakes");
  const sick = Array.from({ length: 100 }, () => lookOfBreach(0.2, random));
  assert.ok(
    sick.every((look) => look !== null && look <= 40),
    `20 % failures: ${sick.join()}`,
  );
});

test("a handful of requests before is no reference", () => {
  assert.notEqual(breach(seen(1000, 100), seen(5, 5)), null);
});

test("a latency quantile is held against the share of requests above it", () => {
  assert.equal(breach(seen(1000, 0, 8)), null);
  assert.match(String(breach(seen(1000, 0, 60))), /60 of 1000 requests slower than 200 ms, the objective is p99/);
  assert.equal(
    breachOf({ ...objective, latencyMs: null }, { after: seen(1000, 0, 900), before: null, untouched: null }),
    null,
  );
});
