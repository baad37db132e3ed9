import type { Baseline, BaselineShape } from "./baseline.ts";
import { filled } from "./gaps.ts";

export interface ForecastShape extends BaselineShape {
  /** Ascending, each within (0, 1). */
  levels: readonly number[];
}

/** Newest origins whose errors make the quantiles. */
const MAX_ORIGINS = 1_000;
/** With fewer errors at one distance, those of all smaller distances and its own stand in. */
const MIN_ERRORS = 30;

/**
 * Quantiles of the next `horizon` steps, [level][step]: the baseline's own forecast at 0.5, and around it, for each distance ahead, the
 * empirical quantiles of the errors that it made at that distance from the newest origins of the past (FPP3 §5.5, without the assumption
 * that errors are normal). Levels never cross. Without any error to look at, all levels are the point.
 * Gaps (NaN) are filled before, and a gap is never counted as an error.
 * @returns null when the past is shorter than the baseline needs
 */
export function baselineQuantiles(baseline: Baseline, past: Float64Array, shape: ForecastShape): Float64Array[] | null {
  const { horizon, levels } = shape;
  if (past.length < Math.max(1, baseline.least(shape)) || !past.some((value) => Number.isFinite(value))) return null;
  const values = filled(past, shape.season);
  const fitted = baseline.fit(values, shape);
  const spread = (step: number): number => fitted.spread?.(step) ?? 1;
  const rows = levels.map(() => new Float64Array(horizon));
  let pooled: number[] = [];
  for (let h = 1; h <= horizon; h++) {
    const errors: number[] = [];
    const last = past.length - h;
    for (let origin = Math.max(fitted.from, last - MAX_ORIGINS + 1); origin <= last; origin++) {
      const actual = past[origin + h - 1]!;
      if (Number.isFinite(actual)) errors.push((actual - fitted.at(origin, h)) / spread(origin + h - 1));
    }
    let sample = errors;
    if (errors.length < MIN_ERRORS) {
      pooled = pooled.concat(errors);
      sample = pooled;
    }
    const sorted = Float64Array.from(sample).sort();
    const point = fitted.at(past.length, h);
    for (const [k, level] of levels.entries())
      rows[k]![h - 1] = point + empiricalOffset(sorted, level) * spread(past.length + h - 1);
  }
  return rows;
}

/** Empirical quantile (type 7 of Hyndman & Fan 1996) of ascending errors, exactly 0 at the median and never on the wrong side of it. */
export function empiricalOffset(sorted: Float64Array, level: number): number {
  if (sorted.length === 0 || level === 0.5) return 0;
  const place = level * (sorted.length - 1);
  const below = sorted[Math.floor(place)]!;
  const value = below + (place - Math.floor(place)) * (sorted[Math.ceil(place)]! - below);
  return level > 0.5 ? Math.max(0, value) : Math.min(0, value);
}
