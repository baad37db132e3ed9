import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { medianOf, partsOfMedian } from "./classical-median.ts";
import { CLASSICS, membersOf } from "./members.ts";

const named = (names: readonly string[]) => names.map((name) => ({ name }));
const rows = (...levels: number[][]) => levels.map((row) => Float64Array.from(row));

describe("the classical median", () => {
  test("lies in the middle at every level and step, without what is not finite there", () => {
    const said = medianOf([rows([1, 10], [2, 20]), rows([3, Number.NaN], [4, 60]), rows([9, 30], [9, 40])]);
    assert.deepEqual(
      said.map((row) => [...row]),
      [
        [3, 20],
        [4, 40],
      ],
    );
  });

  test("needs Holt-Winters where there is a season, and three parts", () => {
    assert.deepEqual(partsOfMedian(named(CLASSICS), 12, 36), CLASSICS);
    assert.deepEqual(partsOfMedian(named(["naive", "Holt damped", "theta", "autoregression"]), 12, 99), []);
    assert.deepEqual(partsOfMedian(named(["Holt damped", "theta"]), 1, 99), []);
    assert.deepEqual(partsOfMedian(named(["naive", "Holt damped", "theta", "combination"]), 1, 99).length, 3);
  });

  test("leaves out those that test for a season where two or three of it are all there is", () => {
    const all = named([...CLASSICS, "seasonal naive", "day profile + EWMA"]);
    const parts = partsOfMedian(all, 12, 35);
    assert.ok(!parts.includes("theta") && !parts.includes("Holt damped") && parts.includes("seasonal naive"));
  });

  test("holds no forecast twice: those of logarithms are there only where they can be taken", () => {
    const shape = { season: 12, horizon: 6, levels: [0.5] };
    const names = (...history: number[]) => membersOf(shape, Float64Array.from(history)).map(({ name }) => name);
    for (const name of ["Holt-Winters of logs", "autoregression of logs"]) {
      assert.ok(names(1, Number.NaN, 2).includes(name), "a gap is no value");
      assert.ok(!names(1, 0, 2).includes(name));
      assert.ok(!names(1, -3, 2).includes(name));
    }
  });
});
