import { AnalogFinder } from "./analogs.ts";
import {
  FEATURE_HISTORY_STEPS,
  FEATURE_STEP_MS,
  FEATURES,
  featureIndex,
  HORIZON_STEPS,
  LAG_DAYS,
  STEPS_PER_DAY,
} from "./schema.ts";
import type { SeriesWindow } from "./series-window.ts";

/** Why an origin has no features. `stale`: nothing seen for an hour. `short`: less than a day and five hours of history. */
export type NoFeatures = "stale" | "short";

/** What turns a model output z for one origin back into requests per second: y = exp(z) · (level + eps) − eps. */
export interface OriginScale {
  level: number;
  eps: number;
}

/** A day of lag and the four hours compared with now, and one more so that not everything hangs on the first steps. */
export const MIN_HISTORY_STEPS = STEPS_PER_DAY + 60;

const LEVEL_STEPS = 3;
const LEVEL_LOOKBACK_STEPS = 12;
const SLOPE_STEPS = 6;
const NOISE_STEPS = 36;
/** Log ratios beyond this say "very different" and no more; e^5 ≈ 148. */
const CLIP = 5;
/** The anchor moves the forecast directly, so its bound is tighter: a factor of 20 within an hour. */
const ANCHOR_CLIP = 3;
const LAG_1D = LAG_DAYS.indexOf(1);
const LAG_7D = LAG_DAYS.indexOf(7);
const ANCHOR = featureIndex("anchor");

/**
 * The one feature builder: training files and live inference both come from here, so they cannot differ. Pure; keeps
 * only working memory. Direct forecasts: one row per horizon step, the horizon being a feature.
 */
export class FeatureBuilder {
  readonly #analogs = new AnalogFinder();

  /**
   * Features at the origin before index `origin` of `series` (steps up to origin − 1 are known), for horizons
   * 1 … HORIZON_STEPS. Row h − 1 is written to `out` at `at + (h − 1) · FEATURES.length`. Never looks at index ≥ origin.
   * @param originMs start of the step at `origin`, ms since the Unix epoch
   */
  build(
    series: SeriesWindow,
    origin: number,
    originMs: number,
    out: Float32Array,
    at: number,
  ): OriginScale | NoFeatures {
    const seen = origin - series.firstValid(origin - FEATURE_HISTORY_STEPS, origin);
    if (seen < MIN_HISTORY_STEPS) return "short";
    const level = recentLevel(series, origin);
    if (Number.isNaN(level)) return "stale";
    const dayMean = series.mean(origin - STEPS_PER_DAY, origin);
    const eps = 0.01 * dayMean + 1e-6;
    const levelLog = Math.log(level + eps);
    const analogs = this.#analogs.find(series, origin, levelLog, eps);
    const row = [
      Math.log(series.values[origin - 1]! + eps) - levelLog,
      ...beforeNow(analogs.logToday, levelLog),
      slopePerHour(series, origin, eps),
      levelLog - analogs.logThen(LAG_1D, -1),
      levelLog - analogs.logThen(LAG_7D, -1),
      analogs.logToday(-1) - analogs.logThen(LAG_1D, -1) - (analogs.logToday(-13) - analogs.logThen(LAG_1D, -13)),
      analogs.logToday(-1) - analogs.logThen(LAG_7D, -1) - (analogs.logToday(-13) - analogs.logThen(LAG_7D, -13)),
      Math.log(dayMean + eps) - levelLog,
      ...dayRange(analogs.logHour, levelLog),
      stepNoise(series, origin, eps),
    ].map(clip);
    row.push(1 - series.count(origin - STEPS_PER_DAY, origin) / STEPS_PER_DAY, Math.min(15, seen / STEPS_PER_DAY));
    for (let h = 1; h <= HORIZON_STEPS; h++) {
      const stepMs = originMs + (h - 1) * FEATURE_STEP_MS;
      const angle = (2 * Math.PI * (stepMs % 86_400_000)) / 86_400_000;
      let column = at + (h - 1) * FEATURES.length;
      out[column++] = h;
      out[column++] = Math.sin(angle);
      out[column++] = Math.cos(angle);
      out[column++] = (Math.floor(stepMs / 86_400_000) + 4) % 7;
      out[column++] = Math.max(-ANCHOR_CLIP, Math.min(ANCHOR_CLIP, analogs.anchor[h - 1]!));
      for (let lag = 0; lag < LAG_DAYS.length; lag++) out[column++] = clip(analogs.byLag[lag]![h - 1]!);
      out[column++] = clip(analogs.best[h - 1]!);
      out[column++] = clip(analogs.spread[h - 1]!);
      out[column++] = clip(analogs.misfitBest);
      out[column++] = clip(analogs.misfitByLag[LAG_1D]!);
      out[column++] = clip(analogs.misfitByLag[LAG_7D]!);
      out[column++] = analogs.offsetBest / 12;
      for (const value of row) out[column++] = value;
      if (column !== at + h * FEATURES.length)
        throw new Error(
          `feature row has ${column - at - (h - 1) * FEATURES.length} columns, schema has ${FEATURES.length}`,
        );
    }
    return { level, eps };
  }
}

/** Model target of the load `rps` seen at a horizon of an origin with this scale. */
export function toTarget(rps: number, scale: OriginScale): number {
  return Math.log((rps + scale.eps) / (scale.level + scale.eps));
}

/** Requests per second of a model output; the inverse of `toTarget`, never negative. */
export function fromTarget(z: number, scale: OriginScale): number {
  return Math.max(0, Math.exp(z) * (scale.level + scale.eps) - scale.eps);
}

export { ANCHOR as ANCHOR_COLUMN };

/** Mean of the newest three valid steps of the last hour; NaN when there is none. */
function recentLevel(series: SeriesWindow, origin: number): number {
  let from = origin - LEVEL_STEPS;
  while (series.count(from, origin) < LEVEL_STEPS && from > origin - LEVEL_LOOKBACK_STEPS) from--;
  return series.mean(from, origin);
}

function beforeNow(logToday: (centre: number) => number, levelLog: number): number[] {
  return [-4, -7, -13, -25, -46].map((centre) => logToday(centre) - levelLog);
}

function dayRange(logHour: (k: number) => number, levelLog: number): number[] {
  let max = Number.NaN;
  let min = Number.NaN;
  for (let k = 0; k < 24; k++) {
    const value = logHour(k);
    if (Number.isNaN(value)) continue;
    if (!(value <= max)) max = value;
    if (!(value >= min)) min = value;
  }
  return [max - levelLog, min - levelLog];
}

function slopePerHour(series: SeriesWindow, origin: number, eps: number): number {
  let n = 0;
  let sx = 0;
  let sy = 0;
  let sxx = 0;
  let sxy = 0;
  for (let x = -SLOPE_STEPS; x < 0; x++) {
    const y = Math.log(series.values[origin + x]! + eps);
    if (Number.isNaN(y)) continue;
    n++;
    sx += x;
    sy += y;
    sxx += x * x;
    sxy += x * y;
  }
  return n < 3 ? Number.NaN : (12 * (n * sxy - sx * sy)) / (n * sxx - sx * sx);
}

/** Root mean square of step-to-step differences over √2: the noise of one step if the load itself moves slowly. */
function stepNoise(series: SeriesWindow, origin: number, eps: number): number {
  let n = 0;
  let squares = 0;
  for (let i = origin - NOISE_STEPS + 1; i < origin; i++) {
    const difference = Math.log((series.values[i]! + eps) / (series.values[i - 1]! + eps));
    if (Number.isNaN(difference)) continue;
    n++;
    squares += difference * difference;
  }
  return n < 6 ? Number.NaN : Math.sqrt(squares / n / 2);
}

/** NaN stays NaN. */
function clip(value: number): number {
  return Math.max(-CLIP, Math.min(CLIP, value));
}
