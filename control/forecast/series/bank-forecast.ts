import { ForecastBank } from "../../features/series/bank/forecast-bank.ts";
import { Past } from "../../features/series/past.ts";
import { minPastSteps, type SeriesShape } from "../../features/series/shape.ts";
import { empiricalOffset } from "../baselines/quantiles.ts";

/** Past origins whose errors make the quantiles, evenly spread over the newest span that can be answered. */
const MAX_ORIGINS = 120;
/** Horizons that this span reaches back at most: what was long ago says little about how wrong a forecast is today. */
const MAX_SPAN_HORIZONS = 60;
/** With fewer errors at one distance, those of the nearest distances stand in until there are so many. */
const MIN_ERRORS = 60;

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
  const anchor = bank.at(past.length).anchor.slice();
  const last = past.length - horizon;
  const first = Math.max(minPastSteps(shape), last - MAX_SPAN_HORIZONS * horizon);
  const stride = Math.max(1, Math.ceil((last - first + 1) / MAX_ORIGINS));
  const errors: number[][] = Array.from({ length: horizon }, () => []);
  for (let origin = last; origin >= first; origin -= stride) {
    const said = bank.at(origin).anchor;
    for (let h = 0; h < horizon; h++) {
      const actual = past[origin + h]!;
      if (Number.isFinite(actual)) errors[h]!.push(actual - said[h]!);
    }
  }
  const rows = levels.map(() => new Float64Array(horizon));
  for (let h = 0; h < horizon; h++) {
    let sample = errors[h]!;
    for (let reach = 1; sample.length < MIN_ERRORS && reach < horizon; reach++)
      sample = sample.concat(errors[h - reach] ?? [], errors[h + reach] ?? []);
    const sorted = Float64Array.from(sample).sort();
    for (const [k, level] of levels.entries()) rows[k]![h] = anchor[h]! + empiricalOffset(sorted, level);
  }
  return rows;
}
