import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../seeded-random.ts";
import { Past } from "../past.ts";
import { FAMILIES, minPastSteps } from "../shape.ts";
import { ForecastBank } from "./forecast-bank.ts";

const shape = { season: 24, horizon: 12 };
const random = new SeededRandom(11);
const daily = Float64Array.from(
  { length: 400 },
  (_, t) => 100 + 40 * Math.sin((2 * Math.PI * t) / 24) + 3 * random.normal(),
);
const bankOf = (values: Float64Array, of = shape) => new ForecastBank(of, new Past(values, of.season));

describe("the forecast bank", () => {
  test("says the same whatever comes at or after the origin, and whatever was asked before", () => {
    const asked = bankOf(daily);
    for (const origin of [390, 120, 333]) asked.at(origin);
    fc.assert(
      fc.property(
        fc.integer({ min: minPastSteps(shape), max: 399 }),
        fc.double({ min: -1e6, max: 1e6 }),
        (origin, other) => {
          const changed = daily.map((value, t) => (t < origin ? value : other));
          assert.deepEqual(bankOf(changed).at(origin), asked.at(origin));
          assert.deepEqual(bankOf(daily.slice(0, origin)).at(origin), asked.at(origin));
        },
      ),
      { numRuns: 40 },
    );
  });

  test("is weighed by shares that sum to one, and its anchor lies within its families", () => {
    const { families, weights, anchor } = bankOf(daily).at(300);
    assert.equal(families.length, FAMILIES.length * shape.horizon);
    assert.ok(Math.abs(weights.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-9);
    for (let h = 0; h < shape.horizon; h++) {
      const said = FAMILIES.map((_, i) => families[i * shape.horizon + h]!);
      assert.ok(anchor[h]! > Math.min(...said) - 1e-9 && anchor[h]! < Math.max(...said) + 1e-9);
    }
  });

  test("grows with the unit of the series", () => {
    const once = bankOf(daily).at(360).anchor;
    const scaled = bankOf(daily.map((value) => 1000 * value)).at(360).anchor;
    for (const [h, value] of once.entries()) assert.ok(Math.abs(scaled[h]! - 1000 * value) < 1e-6 * 1000 * value);
  });

  test("follows a season, a level that changed, a straight line, and a constant", () => {
    const errorOf = (values: Float64Array, truth: (h: number) => number, of = shape) =>
      bankOf(values, of)
        .at(values.length)
        .anchor.reduce((sum, value, h) => sum + Math.abs(value - truth(h)), 0) / of.horizon;
    const cycle = (t: number) => 100 + 40 * Math.sin((2 * Math.PI * t) / 24);
    assert.ok(errorOf(daily, (h) => cycle(400 + h)) < 3, "within the noise");
    const moved = daily.map((value, t) => (t < 340 ? value : value + 80));
    assert.ok(errorOf(moved, (h) => cycle(400 + h) + 80) < 8, "a tenth of the change");
    const line = Float64Array.from({ length: 200 }, (_, t) => 5 + 2 * t);
    assert.ok(
      errorOf(line, (h) => 405 + 2 * h, { season: 1, horizon: 6 }) < 3.5,
      "half of what the last value would miss",
    );
    assert.ok(errorOf(new Float64Array(300).fill(7), () => 7) < 1e-9);
    assert.ok(errorOf(new Float64Array(300), () => 0) < 1e-9);
  });

  test("gives finite numbers for any finite past", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 90, maxLength: 140 }),
        fc.constantFrom({ season: 1, horizon: 5 }, { season: 7, horizon: 14 }, { season: 24, horizon: 3 }),
        (values, of) => {
          const { anchor, disagreement, loss } = bankOf(Float64Array.from(values), of).at(values.length);
          assert.ok([...anchor, ...disagreement, loss].every(Number.isFinite));
        },
      ),
      { numRuns: 60 },
    );
  });
});
