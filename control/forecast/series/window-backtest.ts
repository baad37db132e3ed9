import { gapsFilled } from "../../features/series/past.ts";
import { ScoreBoard, type Scores, seasonalScale } from "../scores/metrics.ts";
import { provisionAreas } from "../scores/provision.ts";
import { bootstrapInterval } from "./bootstrap.ts";

/**
 * One test window: `past` is everything before it, gaps filled with the last reading, not to be written to; `actual` as observed, NaN where nothing was.
 */
export interface Window {
  index: number;
  past: Float64Array;
  actual: Float64Array;
}

/** The last `count` windows of `horizon` steps, without overlap. */
export function lastWindows(values: Float64Array, horizon: number, count: number): Window[] {
  return windowsAt(
    values,
    horizon,
    Array.from({ length: count }, (_, index) => values.length - (count - index) * horizon),
  );
}

/** Windows that begin at the given steps; each must end within the series. */
export function windowsAt(values: Float64Array, horizon: number, starts: readonly number[]): Window[] {
  // What fills a gap depends on what came before it alone: all windows share one filled series.
  const filled = gapsFilled(values);
  return starts.map((start, index) => ({
    index,
    past: filled.subarray(0, start),
    actual: values.slice(start, start + horizon),
  }));
}

/** Quantiles of one window, [level][step]. It gets a copy of the past and sees nothing else. */
export type WindowForecaster = (past: Float64Array) => Promise<Float64Array[]> | Float64Array[];

export interface WindowScores extends Scores {
  name: string;
  /** 95 % bootstrap interval of the MASE over windows. */
  interval: [number, number];
  /**
   * What a plan for the highest level would have cost: what came above it, and what it held that did not come, both as shares of all that
   * came (Σ|y|). Infinite where nothing came, and nought where there is nothing above or below it.
   */
  provision: { under: number; over: number };
  forecasts: Float64Array[][];
  /** Per window: MASE, and mean pinball loss in units of the same scale. NaN where nothing was observed. */
  single: { mase: number; loss: number }[];
}

/** MASE is scaled by the mean absolute seasonal difference of each window's own past, as GIFT-Eval does, and averaged over windows. */
export async function scoreWindows(
  name: string,
  windows: readonly Window[],
  forecaster: WindowForecaster,
  options: { season: number; levels: readonly number[] },
): Promise<WindowScores> {
  const forecasts: Float64Array[][] = [];
  for (const { past } of windows) forecasts.push(await forecaster(past.slice()));
  return scoreForecasts(name, windows, forecasts, options);
}

/** The scores of forecasts that were made before, one per window. */
export function scoreForecasts(
  name: string,
  windows: readonly Window[],
  forecasts: Float64Array[][],
  options: { season: number; levels: readonly number[] },
): WindowScores {
  const { season, levels } = options;
  const whole = new ScoreBoard(levels);
  const single: WindowScores["single"] = [];
  const provision = { under: 0, over: 0 };
  // Where all that was observed is nought, Σ|y| is no measure of it: the scales of the windows stand in.
  let size = 0;
  let observedSize = 0;
  for (const [i, { index, past, actual }] of windows.entries()) {
    const scale = scaleOf(past, season);
    const own = new ScoreBoard(levels);
    for (let h = 0; h < actual.length; h++) {
      const said = forecasts[i]!.map((level) => level[h]!);
      whole.add(String(index), scale, actual[h]!, said);
      own.add(String(index), scale, actual[h]!, said);
      if (!Number.isFinite(actual[h]!)) continue;
      size += scale;
      observedSize += Math.abs(actual[h]!);
    }
    // Per second of a step: a share has no unit.
    const areas = provisionAreas(actual, forecasts[i]!.at(-1)!, 1000);
    provision.under += areas.under;
    provision.over += areas.over;
    const { mase, pinball } = own.scores();
    single.push({ mase, loss: pinball.reduce((sum, loss) => sum + loss, 0) / levels.length / scale });
  }
  const mean = (sample: number[]): number => sample.reduce((sum, value) => sum + value, 0) / sample.length;
  const observed = single.filter(({ mase }) => Number.isFinite(mase));
  const interval: [number, number] =
    observed.length === 0
      ? [Number.NaN, Number.NaN]
      : bootstrapInterval(
          observed.map(({ mase }) => [mase]),
          mean,
        );
  const scores = whole.scores();
  const wql = observedSize > 0 ? scores.wql : (2 * mean(scores.pinball) * scores.count) / size;
  for (const side of ["under", "over"] as const) if (provision[side] > 0) provision[side] /= observedSize;
  return { name, ...scores, wql, interval, provision, forecasts, single };
}

/** The seasonal difference; of a past that only ever repeats itself, its mean size, and 1 where that is nought too. */
function scaleOf(past: Float64Array, season: number): number {
  const scale = seasonalScale(past, season);
  if (scale > 0) return scale;
  const size = past.reduce((sum, value) => sum + Math.abs(value), 0) / past.length;
  return size > 0 ? size : 1;
}
