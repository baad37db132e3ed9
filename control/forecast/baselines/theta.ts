import type { Baseline } from "./baseline.ts";
import { minimise } from "./minimise.ts";
import { seasonallyAdjust } from "./seasonal-adjustment.ts";

/** Below 0.01 the level forgets nothing within any history that is kept; 0.99 as in the M4 code. */
const ALPHA_RANGE = [0.01, 0.99] as const;

/**
 * The standard theta method (Assimakopoulos & Nikolopoulos 2000): seasonally adjusted, the mean of the theta-0 line (the straight line
 * fitted through the past) and of the theta-2 line (the past bent away from it twice) continued by simple exponential smoothing; the
 * season is put back. Written as smoothing with drift (Hyndman & Billah 2003), which is the same forecast:
 *   ŷ(T+h) = ℓ(T) + (b/2)·(h − 1 + 1/α − (1 − α)^T/α), ℓ: smoothed past from ℓ(0) = y(1), b: slope of the line; α by least squares of one-step errors.
 * The season is adjusted multiplicatively where values allow it.
 */
export const theta: Baseline = {
  name: "theta",
  least: () => 3,
  fit(past, { season }) {
    const { adjusted, restore, spread } = seasonallyAdjust(past, season, "multiplicative");
    const b = slope(adjusted);
    const oneStep = (alpha: number): number => {
      let level = adjusted[0]!;
      let decay = 1;
      let squares = 0;
      for (let t = 1; t < adjusted.length; t++) {
        level += alpha * (adjusted[t - 1]! - level);
        decay *= 1 - alpha;
        squares += (adjusted[t]! - level - (b / 2) * ((1 - decay) / alpha)) ** 2;
      }
      return squares;
    };
    const alpha = minimise(oneStep, ...ALPHA_RANGE);
    const levels = new Float64Array(adjusted.length + 1);
    levels[0] = adjusted[0]!;
    for (let t = 0; t < adjusted.length; t++) levels[t + 1] = levels[t]! + alpha * (adjusted[t]! - levels[t]!);
    return {
      from: 1,
      spread,
      at(origin, ahead) {
        const bent = (1 - (1 - alpha) ** origin) / alpha;
        return restore(levels[origin]! + (b / 2) * (ahead - 1 + bent), origin + ahead - 1);
      },
    };
  },
};

/** Slope of the least-squares line over t = 0 … n − 1. */
function slope(values: Float64Array): number {
  const n = values.length;
  const middle = (n - 1) / 2;
  let sum = 0;
  for (let t = 0; t < n; t++) sum += (t - middle) * (values[t]! - values[0]!);
  return (12 * sum) / (n * (n * n - 1));
}
