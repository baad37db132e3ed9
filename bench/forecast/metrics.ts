import { pinball } from "../../control/forecast/scores/metrics.ts";

/**
 * Forecast metrics as GIFT-Eval (and gluonts, whose evaluation it uses) defines them.
 * A `Scored` is one window of one series: what was said, what came, and the past that scales the error.
 */
export interface Scored {
  /** Names for the tables; the bootstrap resamples whole windows of `window`, all series together. */
  series: string;
  window: number;
  actual: Float64Array;
  /** values[level][step] */
  quantiles: readonly Float64Array[];
  /** Scale of MASE: mean absolute seasonal difference of the past, in the unit of the series; > 0. */
  scale: number;
}

/** Levels of every published row. */
export const GIFT_EVAL_LEVELS: readonly number[] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/** Mean absolute scaled error: mean over windows of (mean absolute error of the median / scale). */
export function mase(scored: readonly Scored[], levels: readonly number[] = GIFT_EVAL_LEVELS): number {
  const median = medianIndex(levels);
  let sum = 0;
  for (const s of scored) sum += meanAbsoluteError(s.actual, s.quantiles[median]!) / s.scale;
  return sum / scored.length;
}

/** Weighted quantile loss: per level 2·Σ pinball / Σ|y| over everything scored, then the mean over the levels. */
export function weightedQuantileLoss(scored: readonly Scored[], levels: readonly number[] = GIFT_EVAL_LEVELS): number {
  let total = 0;
  let loss = 0;
  for (const s of scored) {
    for (let h = 0; h < s.actual.length; h++) total += Math.abs(s.actual[h]!);
    for (let q = 0; q < levels.length; q++)
      for (let h = 0; h < s.actual.length; h++) loss += 2 * pinball(levels[q]!, s.actual[h]!, s.quantiles[q]![h]!);
  }
  return loss / (total * levels.length);
}

/** Share of steps at or below the quantile of this level: a calibrated forecast gives the level back. */
export function coverage(
  scored: readonly Scored[],
  level: number,
  levels: readonly number[] = GIFT_EVAL_LEVELS,
): number {
  const index = levels.indexOf(level);
  if (index < 0) throw new Error(`no level ${level}`);
  let below = 0;
  let steps = 0;
  for (const s of scored) {
    for (let h = 0; h < s.actual.length; h++) if (s.actual[h]! <= s.quantiles[index]![h]!) below++;
    steps += s.actual.length;
  }
  return below / steps;
}

function meanAbsoluteError(actual: Float64Array, forecast: Float64Array): number {
  let sum = 0;
  for (let h = 0; h < actual.length; h++) sum += Math.abs(actual[h]! - forecast[h]!);
  return sum / actual.length;
}

function medianIndex(levels: readonly number[]): number {
  const index = levels.indexOf(0.5);
  if (index < 0) throw new Error("the levels have no median");
  return index;
}
