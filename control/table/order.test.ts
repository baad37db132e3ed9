import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { countsOf, sharesOf, slotCounts } from "./arbitraries.ts";
import { smoothOrder } from "./order.ts";
import { quotasOf } from "./quotas.ts";

test("the order contains each target exactly as often as its quota", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }).chain(sharesOf), slotCounts, (ppm, slots) => {
      const quotas = quotasOf(ppm, slots);
      assert.deepEqual(countsOf(smoothOrder(quotas), quotas.length), quotas);
    }),
  );
});

test("the sequence of nginx's own example comes out", () => {
  assert.deepEqual([...smoothOrder([5, 1, 1])], [0, 0, 1, 0, 2, 0, 0]);
});

/** Largest distance, over all targets, between picks and quota in `count` picks from `phase` on that change tables once. */
function blendError(before: number[], after: number[], slots: number, phase: number, changeAt: number): number {
  const old = smoothOrder(before);
  const young = smoothOrder(after);
  const counts = before.map(() => 0);
  for (let k = 0; k < slots; k++) counts[(k < changeAt ? old : young)[(phase + k) & (slots - 1)]!]! += 1;
  return Math.max(
    ...counts.map((n, i) => Math.abs(n - (before[i]! * changeAt + after[i]! * (slots - changeAt)) / slots)),
  );
}

test("M picks across one change are within 3 of the blended quota for services of up to four targets", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }).chain((n) => fc.tuple(sharesOf(n), sharesOf(n))),
      fc.nat(1023),
      fc.nat(1024),
      ([a, b], phase, changeAt) => {
        assert.ok(blendError(quotasOf(a, 1024), quotasOf(b, 1024), 1024, phase, changeAt) <= 3);
      },
    ),
  );
});
