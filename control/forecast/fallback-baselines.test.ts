import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../features/seeded-random.ts";
import { lastObserved, lastValue, seasonalNaive } from "./fallback-baselines.ts";

const levels = [0.1, 0.5, 0.9, 0.99];

test("seasonal naive repeats the value of one season before, also past the end of a season", () => {
  const values = Float64Array.from([1, 2, 3, 4, 5, 6]);
  const forecast = seasonalNaive(values, 3, 5, levels, 288);
  assert.ok(typeof forecast !== "string");
  assert.deepEqual([...forecast[1]!], [4, 5, 6, 4, 5]);
});

test("a hole one season before is bridged by its neighbour, a long one is refused", () => {
  const values = Float64Array.from({ length: 40 }, (_, i) => i);
  values[21] = Number.NaN;
  const bridged = seasonalNaive(values, 20, 3, levels, 288);
  assert.ok(typeof bridged !== "string");
  assert.deepEqual([...bridged[1]!], [20, 20, 22]);
  values.fill(Number.NaN, 15, 30);
  assert.equal(typeof seasonalNaive(values, 20, 3, levels, 288), "string");
  assert.equal(typeof seasonalNaive(values.slice(0, 10), 20, 3, levels, 288), "string");
});

test("the spread around the seasonal value is that of past seasonal differences", () => {
  const random = new SeededRandom(1);
  const values = Float64Array.from({ length: 4_000 }, () => 1_000 + 50 * random.normal());
  const forecast = seasonalNaive(values, 288, 1, levels, 288);
  assert.ok(typeof forecast !== "string");
  const point = forecast[1]![0]!;
  assert.equal(point, values[4_000 - 288]);
  const differences = Array.from({ length: 4_000 - 288 }, (_, i) => values[i + 288]! - values[i]!).sort(
    (a, b) => a - b,
  );
  assert.ok(forecast[2]![0]! > point + 50);
  assert.ok(Math.abs(forecast[2]![0]! - point - differences[Math.floor(0.9 * differences.length)]!) < 1e-9);
});

test("baselines never cross, never fall below zero and are finite", () => {
  const value = fc.oneof(
    { weight: 5, arbitrary: fc.double({ min: 0, max: 1e5, noNaN: true }) },
    { weight: 1, arbitrary: fc.constant(Number.NaN) },
  );
  fc.assert(
    fc.property(fc.array(value, { maxLength: 150 }), fc.integer({ min: 1, max: 40 }), (list, season) => {
      const values = Float64Array.from(list);
      for (const forecast of [seasonalNaive(values, season, 12, levels, 288), lastValue(values, 12, levels, 288)]) {
        if (typeof forecast === "string") continue;
        forecast.forEach((row, level) => {
          row.forEach((rps, h) => {
            assert.ok(Number.isFinite(rps) && rps >= 0);
            if (level > 0) assert.ok(rps >= forecast[level - 1]![h]!);
          });
        });
      }
    }),
  );
});

test("the last value widens with the horizon when load wanders", () => {
  let seed = 1;
  const step = (): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return (seed / 2_147_483_647 - 0.5) * 4;
  };
  let load = 500;
  const values = Float64Array.from({ length: 2_000 }, () => {
    load += step();
    return load;
  });
  const forecast = lastValue(values, 12, levels, 288);
  assert.ok(typeof forecast !== "string");
  assert.deepEqual([...forecast[1]!], new Array(12).fill(values[1_999]));
  assert.ok(forecast[2]![11]! - load > 2 * (forecast[2]![0]! - load));
});

test("the newest observed value is found within its limit only", () => {
  const values = Float64Array.from([3, Number.NaN, Number.NaN]);
  assert.equal(lastObserved(values, 3), 3);
  assert.ok(Number.isNaN(lastObserved(values, 2)));
});
