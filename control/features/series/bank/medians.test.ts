import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Medians } from "./medians.ts";

const COUNTS = [1, 2, 3, 4, 5, 6, 7, 8, 13, 24, 25, 31, 32, 33, 48, 64];

/** By definition: the middle of the sorted values. */
function middle(values: readonly number[], otherwise: number): number {
  const sorted = values.map((value) => (Number.isFinite(value) ? value : otherwise)).sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return (sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2) + 0;
}

describe("medians of columns", () => {
  for (const vectors of [true, false])
    test(`are the middle of each, by ${vectors ? "vectors" : "plain code"}`, () => {
      fc.assert(
        fc.property(
          fc.constantFrom(...COUNTS),
          fc.integer({ min: 1, max: 7 }),
          fc.infiniteStream(fc.oneof(fc.double(), fc.integer({ min: -3, max: 3 }), fc.constant(-0))),
          fc.double({ noNaN: true, noDefaultInfinity: true }),
          (count, columns, numbers, otherwise) => {
            const medians = new Medians(columns, Math.min(64, count + 1), vectors);
            const matrix = Array.from({ length: count }, () =>
              Array.from({ length: columns }, () => numbers.next().value),
            );
            // What earlier rows left behind plays no part.
            medians.rows.fill(7);
            for (const [i, row] of matrix.entries()) medians.rows.set(row, i * medians.stride);
            const out = new Float64Array(columns + 2).fill(9);
            medians.take(count, otherwise, out, 1, columns);
            const expected = Array.from({ length: columns }, (_, h) =>
              middle(
                matrix.map((row) => row[h]!),
                otherwise,
              ),
            );
            assert.deepEqual([...out], [9, ...expected, 9]);
          },
        ),
        { numRuns: 300 },
      );
    });

  test("of more rows than its memory holds are refused", () => {
    assert.throws(() => new Medians(12, 65), /medians of 65/);
    assert.throws(() => new Medians(12, 4, true).take(5, 0, new Float64Array(12), 0, 12), /5 of 4/);
  });
});
