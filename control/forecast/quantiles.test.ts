import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Quantiles } from "./quantiles.ts";

test("each service reads its own part of a block that several share", () => {
  const block = Float64Array.from({ length: 12 }, (_, i) => i);
  const second = new Quantiles(block, 6, 2, 3);
  assert.deepEqual([second.levels, second.steps], [2, 3]);
  assert.deepEqual(second.rows(), [Float64Array.of(6, 7, 8), Float64Array.of(9, 10, 11)]);
  assert.equal(second.at(1, 0), 9);
});

test("what is outside its levels and steps is no number, never the neighbour's value", () => {
  const middle = new Quantiles(new Float64Array(18).fill(5), 6, 2, 3);
  const outside: [number, number][] = [
    [0, 3],
    [0, -1],
    [2, 0],
    [-1, 0],
  ];
  for (const [level, step] of outside) assert.equal(middle.at(level, step), Number.NaN);
});

test("a part that the block does not hold whole, and rows of different lengths, are refused", () => {
  assert.throws(() => new Quantiles(new Float64Array(5), 0, 2, 3), RangeError);
  assert.throws(() => new Quantiles(new Float64Array(12), 7, 2, 3), RangeError);
  assert.throws(() => new Quantiles(new Float64Array(12), -1, 2, 3), RangeError);
  assert.throws(() => Quantiles.of([[1, 2], [3]]), RangeError);
});

test("rows come back as they were given, and are a copy", () => {
  const rows = fc
    .tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 8 }))
    .chain(([levels, steps]) =>
      fc.array(fc.array(fc.double(), { minLength: steps, maxLength: steps }), { minLength: levels, maxLength: levels }),
    );
  fc.assert(
    fc.property(rows, (given) => {
      const typed = given.map((row) => Float64Array.from(row));
      const made = Quantiles.of(typed);
      for (const row of typed) row.fill(-1);
      assert.deepEqual(
        made.rows(),
        given.map((row) => Float64Array.from(row)),
      );
      for (const [level, row] of given.entries())
        for (const [step, value] of row.entries()) assert.ok(Object.is(made.at(level, step), value));
    }),
  );
});
