import { empiricalOffset } from "../baselines/quantiles.ts";

/** Past origins whose errors make the quantiles, evenly spread over the newest span that can be answered. */
const MAX_ORIGINS = 120;
/** Horizons that this span reaches back at most: what was long ago says little about how wrong a forecast is today. */
const MAX_SPAN_HORIZONS = 60;
/** With fewer errors at one distance, those of the nearest distances stand in until there are so many. */
const MIN_ERRORS = 60;

/**
 * Quantiles of the next steps, [level][step], of a forecast that is costly to ask: it is the median, and around it lie the empirical
 * quantiles of its own errors at that distance.
 * @param path the forecast made after the first `origin` steps; may be overwritten by the next call
 * @param first least origin that it can be asked at
 */
export function errorQuantiles(
  past: Float64Array,
  path: (origin: number) => Float64Array,
  first: number,
  { horizon, levels }: { horizon: number; levels: readonly number[] },
): Float64Array[] {
  const anchor = path(past.length).slice();
  const last = past.length - horizon;
  const from = Math.max(first, last - MAX_SPAN_HORIZONS * horizon);
  const stride = Math.max(1, Math.ceil((last - from + 1) / MAX_ORIGINS));
  const errors: number[][] = Array.from({ length: horizon }, () => []);
  for (let origin = last; origin >= from; origin -= stride) {
    const said = path(origin);
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
