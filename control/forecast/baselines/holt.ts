import type { Baseline } from "./baseline.ts";
import { minimise } from "./minimise.ts";
import { seasonallyAdjust } from "./seasonal-adjustment.ts";

interface Parameters {
  alpha: number;
  beta: number;
  phi: number;
}

/** Rounds of coordinate descent; later ones change the error by less than a part in a thousand. */
const ROUNDS = 4;
/** Newest steps that parameters are sought on: more change them by nothing and cost minutes on a million. */
const MAX_FITTED = 131_072;
/** Range of φ in FPP3 §8.2: below 0.8 the trend is gone at once, above 0.98 damping cannot be told from none. */
const PHI_RANGE = [0.8, 0.98] as const;

/**
 * Holt's linear method with a damped trend (Gardner & McKenzie 1985; FPP3 §8.2) on the seasonally adjusted series, as the `Damped`
 * benchmark of M4:
 *   ℓ(t) = α·y(t) + (1 − α)(ℓ(t−1) + φ·b(t−1)), b(t) = β·(ℓ(t) − ℓ(t−1)) + (1 − β)·φ·b(t−1), ŷ(T+h) = ℓ(T) + (φ + … + φ^h)·b(T)
 * from ℓ(1) = y(1), b(1) = 0; α, β, φ by least squares of one-step errors.
 */
export const holt: Baseline = {
  name: "Holt damped",
  least: () => 3,
  fit(past, { season, horizon }) {
    const { adjusted, restore, spread } = seasonallyAdjust(past, season, "multiplicative");
    const parameters = bestParameters(adjusted.subarray(Math.max(0, adjusted.length - MAX_FITTED)));
    const levels = new Float64Array(adjusted.length);
    const trends = new Float64Array(adjusted.length);
    smooth(adjusted, parameters, levels, trends);
    const damping = new Float64Array(horizon + 1);
    for (let h = 1; h <= horizon; h++) damping[h] = damping[h - 1]! + parameters.phi ** h;
    return {
      from: 1,
      spread,
      at: (origin, ahead) => restore(levels[origin - 1]! + damping[ahead]! * trends[origin - 1]!, origin + ahead - 1),
    };
  },
};

function bestParameters(values: Float64Array): Parameters {
  let best: Parameters = { alpha: 0.5, beta: 0.1, phi: 0.95 };
  for (let round = 0; round < ROUNDS; round++) {
    best = { ...best, alpha: minimise((alpha) => smooth(values, { ...best, alpha }), 0.01, 0.99, 8, 12) };
    best = { ...best, beta: minimise((beta) => smooth(values, { ...best, beta }), 0, 0.99, 8, 12) };
    best = { ...best, phi: minimise((phi) => smooth(values, { ...best, phi }), ...PHI_RANGE, 6, 8) };
  }
  return best;
}

/** Sum of squared one-step errors; writes the states after each step where arrays are given. */
function smooth(
  values: Float64Array,
  { alpha, beta, phi }: Parameters,
  levels?: Float64Array,
  trends?: Float64Array,
): number {
  let level = values[0]!;
  let trend = 0;
  let squares = 0;
  if (levels !== undefined) levels[0] = level;
  for (let t = 1; t < values.length; t++) {
    const said = level + phi * trend;
    const error = values[t]! - said;
    squares += error * error;
    const next = said + alpha * error;
    trend = beta * (next - level) + (1 - beta) * phi * trend;
    level = next;
    if (levels !== undefined && trends !== undefined) {
      levels[t] = level;
      trends[t] = trend;
    }
  }
  return squares;
}
