import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../features/seeded-random.ts";
import { autoregressionQuantiles, leastForAutoregression } from "./autoregression.ts";

const levels = [0.1, 0.5, 0.9];
const of = (steps: number, value: (t: number) => number) => Float64Array.from({ length: steps }, (_, t) => value(t));

/** Waves of about ten steps that come and go: y(t) = 1.5·y(t−1) − 0.9·y(t−2) + noise. */
function waves(steps: number, noise: number): Float64Array {
  const random = new SeededRandom(7);
  const out = of(steps + 2, (t) => (t < 2 ? 1 : 0));
  for (let t = 2; t < out.length; t++) out[t] = 1.5 * out[t - 1]! - 0.9 * out[t - 2]! + noise * random.normal();
  return out.subarray(2);
}

describe("autoregression", () => {
  test("finds the recursion that made a series", () => {
    const values = waves(400, 0.02);
    let [own, last] = [0, 0];
    for (let origin = 300; origin < 400; origin++) {
      const [, median] = autoregressionQuantiles(values.slice(0, origin), { season: 1, horizon: 1, levels });
      own += Math.abs(median![0]! - values[origin]!);
      last += Math.abs(values[origin - 1]! - values[origin]!);
    }
    assert.ok(own < 0.5 * last, `${own} against ${last} of the last value`);
  });

  test("goes on with a season, and with one that grows by shares when it looks at logarithms", () => {
    const season = 12;
    const values = of(144, (t) => Math.exp(0.02 * t) * (2 + Math.sin((2 * Math.PI * t) / season)));
    const past = values.slice(0, 132);
    const error = (rows: Float64Array[]) =>
      Math.max(...rows[1]!.map((value, h) => Math.abs(value / values[132 + h]! - 1)));
    const shape = { season, horizon: 12, levels };
    const logs = error(autoregressionQuantiles(past, shape, { there: Math.log, back: Math.exp }));
    assert.ok(logs < 0.01, `${logs}`);
    assert.ok(logs < error(autoregressionQuantiles(past, shape)));
  });

  test("is finite and ordered, and stays within a range of what it saw, whatever the past", () => {
    const number = fc.double({ min: -1e9, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(
        fc.constantFrom(1, 4, 7),
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.oneof(number, fc.constantFrom(0, 1, 5)), { minLength: 40, maxLength: 90 }),
        (season, horizon, numbers) => {
          const past = Float64Array.from(numbers);
          const shape = { season, horizon, levels };
          assert.ok(past.length >= leastForAutoregression(shape));
          const [low, median, high] = autoregressionQuantiles(past, shape);
          const [least, most] = [Math.min(...past), Math.max(...past)];
          for (let h = 0; h < horizon; h++) {
            assert.ok(low![h]! <= median![h]! && median![h]! <= high![h]!);
            assert.ok(median![h]! >= 2 * least - most - 1 && median![h]! <= 2 * most - least + 1);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test("of a constant is that constant", () => {
    for (const row of autoregressionQuantiles(new Float64Array(60).fill(42), { season: 7, horizon: 5, levels }))
      assert.deepEqual([...row], [42, 42, 42, 42, 42]);
  });
});
