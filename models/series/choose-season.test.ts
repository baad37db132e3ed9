import assert from "node:assert/strict";
import { test } from "node:test";
import { syntheticLoad } from "../../control/features/synthetic-load.ts";
import { chooseSeason } from "./choose-season.ts";

const DAY = 288;
const HORIZON = 12;
const choose = (values: Float64Array, choice: "auto" | "day" | "week" = "auto") =>
  chooseSeason([{ name: "a", values }], choice, DAY, HORIZON);

test("a load with quiet weekends is learnt by weeks, one without by days, and what was asked for is done", () => {
  const weekly = syntheticLoad({ seed: 1, days: 42 }).values;
  const daily = weekly.map((_, t) => 50 + 20 * Math.sin((2 * Math.PI * t) / DAY) + Math.sin(t * t));
  assert.equal(choose(weekly).season, 7 * DAY);
  assert.match(choose(weekly).why, /week before by 0\.\d\d/);
  assert.equal(choose(daily).season, DAY);
  assert.equal(choose(weekly, "day").season, DAY);
  assert.equal(choose(daily, "week").season, 7 * DAY);
});

test("less than four weeks, or readings that are missing everywhere, make it a day", () => {
  const weekly = syntheticLoad({ seed: 1, days: 42 }).values;
  assert.equal(choose(weekly.subarray(0, 27 * DAY)).season, DAY);
  assert.equal(choose(new Float64Array(42 * DAY).fill(Number.NaN)).season, DAY);
});

test("what is held out has no say", () => {
  const weekly = syntheticLoad({ seed: 1, days: 42 }).values;
  const changed = weekly.map((value, t) => (t < 36 * DAY ? value : 1_000 * Math.sin(t)));
  assert.deepEqual(choose(changed), choose(weekly));
});
