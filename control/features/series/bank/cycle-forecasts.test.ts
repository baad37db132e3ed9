import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../seeded-random.ts";
import { Past } from "../past.ts";
import { type AnchorVariant, CYCLE_FAMILIES, minPastSteps, type SeriesShape, spansOf } from "../shape.ts";
import { AnchorBuilder } from "./anchor.ts";
import { CycleForecasts, type CycleState } from "./cycle-forecasts.ts";

const VARIANTS = [...new Set(CYCLE_FAMILIES.flatMap(({ plain, log }) => [...plain, ...log]))];

/** One variant by its definition, [step]: the profile, and the residual's smoothed end, whose weights sum to 1, as it fades. */
function alone(
  shape: SeriesShape,
  values: Float64Array,
  origin: number,
  scale: number,
  variant: AnchorVariant,
): number[] {
  const { profile, residual } = new AnchorBuilder(shape).continuation(values, origin, scale, variant);
  const weights = [...residual].map((_, age) => (1 - variant.alpha) ** age);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const level = residual.toReversed().reduce((sum, value, age) => sum + weights[age]! * value, 0) / total;
  const { back, stretch } = spansOf(shape);
  return Array.from(
    { length: shape.horizon },
    (_, h) => profile[back + h]! + level * variant.fade ** ((h + 1) / stretch),
  );
}

test("all variants at once say what each says alone, on values and on logarithms, at any origin", () => {
  fc.assert(
    fc.property(
      fc.constantFrom({ season: 24, horizon: 12 }, { season: 7, horizon: 14 }, { season: 40, horizon: 5 }),
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (shape, seed, place) => {
        const random = new SeededRandom(seed);
        const values = Float64Array.from({ length: 900 }, (_, t) =>
          Math.max(0, 100 + 60 * Math.sin((2 * Math.PI * t) / shape.season) + 20 * random.normal()),
        );
        const past = new Past(values, shape.season);
        const origin = minPastSteps(shape) + Math.round(place * (values.length - minPastSteps(shape)));
        const cycles = new CycleForecasts(shape, VARIANTS);
        const said = new Float64Array(shape.horizon);
        for (const [array, scale, exponential] of [
          [past.values, past.scale(origin), false],
          [past.logs, past.logScale(origin), true],
        ] as const) {
          cycles.look(array, origin, scale, cycles.state());
          cycles.exponentiate();
          for (const [i, variant] of VARIANTS.entries()) {
            if (exponential) cycles.exponential(i, said, 0);
            else cycles.forecast(i, said, 0);
            for (const [h, level] of alone(shape, array, origin, scale, variant).entries()) {
              const expected = exponential ? Math.exp(level) : level;
              assert.ok(Math.abs(said[h]! - expected) <= 1e-9 * (1 + Math.abs(expected)), `variant ${i} step ${h}`);
            }
          }
        }
      },
    ),
    { numRuns: 30 },
  );
});

test("what is kept between origins changes no bit of an answer, in whatever order they are asked for", () => {
  const shape = { season: 24, horizon: 6 };
  const random = new SeededRandom(8);
  const values = Float64Array.from({ length: 1_200 }, (_, t) => 50 + 20 * Math.sin(t / 4) + random.normal());
  const cycles = new CycleForecasts(shape, VARIANTS);
  const said = new Float64Array(shape.horizon);
  const answer = (origin: number, state: CycleState): number[] => {
    cycles.look(values, origin, 3, state);
    return VARIANTS.flatMap((_, i) => {
      cycles.forecast(i, said, 0);
      return [...said];
    });
  };
  fc.assert(
    fc.property(fc.array(fc.integer({ min: minPastSteps(shape), max: 1_200 }), { minLength: 2 }), (origins) => {
      const kept = cycles.state();
      for (const origin of origins) assert.deepEqual(answer(origin, kept), answer(origin, cycles.state()));
    }),
    { numRuns: 50 },
  );
});
