import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { select } from "./select.ts";

/** An order on which the middle of three is always nearly the least: Musser 1997. */
function killer(n: number): number[] {
  const half = n >> 1;
  return Array.from({ length: n }, (_, i) =>
    i < half ? (i % 2 === 0 ? i + 1 : half + i + (half % 2)) : 2 * (i - half + 1),
  );
}

test("what is selected stands where a sort would put it, and parts the rest", () => {
  const values = fc.oneof(
    fc.array(fc.double({ noNaN: true }), { minLength: 1, maxLength: 200 }),
    fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 200 }),
    fc.integer({ min: 1, max: 400 }).map(killer),
  );
  fc.assert(
    fc.property(values, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (numbers, where) => {
      const all = Float64Array.from(numbers);
      const sorted = all.toSorted();
      const place = Math.floor(where * all.length);
      assert.ok(select(all, place) === sorted[place]);
      assert.ok(all.subarray(0, place).every((value) => value <= all[place]!));
      assert.ok(all.subarray(place).every((value) => value >= all[place]!));
      // Behind a place that stands, the next one is found among the rest.
      const next = place + Math.floor((all.length - place) / 2);
      assert.ok(select(all, next, place) === sorted[next]);
      assert.deepEqual(all.toSorted(), sorted);
    }),
    { numRuns: 300 },
  );
});
