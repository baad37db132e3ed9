import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom, shuffled } from "./random.ts";
import { bootstrapInterval, median, quantile, quartiles } from "./stats.ts";

test("quartiles interpolate between order statistics", () => {
  assert.deepEqual(quartiles([4, 1, 3, 2]), { q1: 1.75, median: 2.5, q3: 3.25 });
  assert.equal(quantile([7], 0.99), 7);
});

test("a shuffle keeps every item and is repeated by its seed", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.nat(), (items, seed) => {
      const once = shuffled(items, seededRandom(seed));
      assert.deepEqual(shuffled(items, seededRandom(seed)), once);
      assert.deepEqual([...once].sort(), [...items].sort());
    }),
  );
});

test("a bootstrap interval of a median holds the median and lies within the data", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 40 }),
      (values) => {
        const { low, high } = bootstrapInterval(values, median, { resamples: 200 });
        assert.ok(low >= Math.min(...values) && high <= Math.max(...values) && low <= high);
      },
    ),
    { numRuns: 50 },
  );
});

test("a bootstrap interval narrows as rounds are added", () => {
  const random = seededRandom(5);
  const width = (rounds: number): number => {
    const values = Array.from({ length: rounds }, () => random());
    const { low, high } = bootstrapInterval(values, median);
    return high - low;
  };
  assert.ok(width(400) < width(16) / 2);
});
