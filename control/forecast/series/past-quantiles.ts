/*
 * Climatological forecasts: the quantiles of what was observed before, without a point forecast and its errors. For counts that are mostly
 * nought, and for noise, nothing that follows the last values does better. Values are [level][step].
 */

/** Seasons whose steps of one phase are looked at. */
const MAX_SEASONS = 16;
/** From this season on, the steps beside a phase count to it: one step of a day in minutes is not another time of day. */
const WIDE_SEASON = 25;

/** The quantiles of the last `steps` values, the same for every step ahead. */
export function recentQuantiles(
  past: Float64Array,
  horizon: number,
  levels: readonly number[],
  steps: number,
): Float64Array[] {
  const sorted = past.slice(Math.max(0, past.length - steps)).sort();
  return levels.map((level) => new Float64Array(horizon).fill(quantile(sorted, level)));
}

/** For each step the quantiles of what its phase showed in past seasons; needs one season and one horizon of past at least. */
export function phaseQuantiles(
  past: Float64Array,
  horizon: number,
  levels: readonly number[],
  season: number,
): Float64Array[] {
  const wide = season >= WIDE_SEASON ? 1 : 0;
  const rows = levels.map(() => new Float64Array(horizon));
  for (let h = 0; h < horizon; h++) {
    const sample: number[] = [];
    const nearest = Math.ceil((h + 1) / season);
    for (let k = nearest; k < nearest + MAX_SEASONS; k++)
      for (let at = past.length + h - k * season - wide; at <= past.length + h - k * season + wide; at++)
        if (at >= 0 && at < past.length) sample.push(past[at]!);
    const sorted = Float64Array.from(sample).sort();
    for (const [i, level] of levels.entries()) rows[i]![h] = quantile(sorted, level);
  }
  return rows;
}

/** Type 7 of Hyndman & Fan (1996). */
function quantile(sorted: Float64Array, level: number): number {
  const place = level * (sorted.length - 1);
  const below = sorted[Math.floor(place)]!;
  return below + (place - Math.floor(place)) * (sorted[Math.ceil(place)]! - below);
}
