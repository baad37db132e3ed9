import { ForecastBank } from "../../features/series/bank/forecast-bank.ts";
import { Past } from "../../features/series/past.ts";
import { minPastSteps, type SeriesShape } from "../../features/series/shape.ts";
import { errorQuantiles } from "./error-quantiles.ts";

/** Ranges of all that was seen by which the anchor may leave it: the exponential of a trend from near nought reaches any number. */
const MAX_LEAVE = 2;

/** Brings a forecast back to what is conceivable after this past. */
function boundsOf(past: Float64Array): (value: number) => number {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of past) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const leave = MAX_LEAVE * (most - least);
  return (value) => Math.min(most + leave, Math.max(least - leave, value));
}

/** Steps of past that `bankQuantiles` needs: one answer and one that can be judged. */
export function leastPast(shape: SeriesShape): number {
  return minPastSteps(shape) + shape.horizon;
}

/**
 * Quantiles of the next `horizon` steps, [level][step], of the forecast bank: the anchor that a series model corrects, without a model. The
 * median is the anchor; around it lie the empirical quantiles of the anchor's own errors at that distance. @returns null when the past is too short
 */
export function bankQuantiles(
  past: Float64Array,
  { season, horizon, levels }: SeriesShape & { levels: readonly number[] },
): Float64Array[] | null {
  const shape = { season, horizon };
  if (past.length < leastPast(shape)) return null;
  const known = new Past(past, season);
  const bank = new ForecastBank(shape, known);
  const within = boundsOf(past);
  return errorQuantiles(past, (origin) => bank.at(origin).anchor.map(within), minPastSteps(shape), { horizon, levels });
}
