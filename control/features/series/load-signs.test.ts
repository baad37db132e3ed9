import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom } from "../seeded-random.ts";
import { syntheticLoad } from "../synthetic-load.ts";
import { LOAD_SIGNS, signsAt } from "./load-signs.ts";

const DAY = 288;
const signs = (values: ArrayLike<number>, origin = values.length) =>
  Object.fromEntries(LOAD_SIGNS.map((name, i) => [name, signsAt(values, origin, DAY)[i]!]));

describe("the signs of a load", () => {
  const clean = syntheticLoad({ seed: 1, days: 12 }).values;

  test("are the same for a load of any size, and small while it goes on as before", () => {
    const own = signs(clean);
    const large = signs(clean.map((value) => 1_000 * value));
    for (const name of LOAD_SIGNS) assert.ok(Math.abs(own[name]! - large[name]!) < 1e-4, name);
    assert.ok(Math.abs(own.noise_change!) < 0.4 && own.gaps === 0, JSON.stringify(own));
  });

  test("tell noise from level, slope and jumps", () => {
    const noisy = syntheticLoad({ seed: 1, days: 12, noise: 0.06 }).values;
    const turned = clean.map((value, t) => (t < 11 * DAY ? value : noisy[t]!));
    assert.ok(signs(turned).noise_change! > 0.75, JSON.stringify(signs(turned)));
    const jump = clean.map((value, t) => (t < 11.5 * DAY ? value : 5 * value));
    assert.ok(Math.abs(signs(jump).noise_change!) < 0.4 && signs(jump).size_change! > 0.5);
  });

  test("count missing readings, and are silent about a load that is three days young", () => {
    const random = new SeededRandom(2);
    const holes = clean.map((value, t) => (t >= 11 * DAY && random.next() < 0.25 ? Number.NaN : value));
    assert.ok(Math.abs(signs(holes).gaps! - 0.25) < 0.08);
    assert.ok(Object.values(signs(clean.subarray(0, 3.5 * DAY))).every(Number.isNaN));
    const young = clean.map((value, t) => (t < 8.5 * DAY ? Number.NaN : value));
    assert.ok(Object.values(signs(young)).every(Number.isNaN));
    assert.ok(Object.values(signs(new Float64Array(12 * DAY).fill(Number.NaN))).every(Number.isNaN));
  });
});
