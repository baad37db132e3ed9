import { Past } from "../../features/series/past.ts";
import { ScoreBoard, type Scores, seasonalScale } from "../metrics.ts";
import { bootstrapInterval } from "./bootstrap.ts";

/** One test window: `past` is everything before it, gaps filled with the last reading; `actual` as observed, NaN where nothing was. */
export interface Window {
  index: number;
  past: Float64Array;
  actual: Float64Array;
}

/** The last `count` windows of `horizon` steps, without overlap. */
export function lastWindows(values: Float64Array, horizon: number, count: number): Window[] {
  return Array.from({ length: count }, (_, index) => {
    const start = values.length - (count - index) * horizon;
    return {
      index,
      past: new Past(values.subarray(0, start), 1).values,
      actual: values.slice(start, start + horizon),
    };
  });
}

/** Quantiles of one window, [level][step]. It gets a copy of the past and sees nothing else. */
export type WindowForecaster = (past: Float64Array) => Promise<Float64Array[]> | Float64Array[];

export interface WindowScores extends Scores {
  name: string;
  /** 95 % bootstrap interval of the MASE over windows. */
  interval: [number, number];
  forecasts: Float64Array[][];
}

/** MASE is scaled by the mean absolute seasonal difference of each window's own past, as GIFT-Eval does, and averaged over windows. */
export async function scoreWindows(
  name: string,
  windows: readonly Window[],
  forecaster: WindowForecaster,
  options: { season: number; levels: readonly number[] },
): Promise<WindowScores> {
  const { season, levels } = options;
  const whole = new ScoreBoard(levels);
  const single: number[] = [];
  const forecasts: Float64Array[][] = [];
  for (const { index, past, actual } of windows) {
    const quantiles = await forecaster(past.slice());
    const scale = seasonalScale(past, season);
    const own = new ScoreBoard(levels);
    for (let h = 0; h < actual.length; h++) {
      const said = quantiles.map((level) => level[h]!);
      whole.add(String(index), scale, actual[h]!, said);
      own.add(String(index), scale, actual[h]!, said);
    }
    const { mase } = own.scores();
    if (Number.isFinite(mase)) single.push(mase);
    forecasts.push(quantiles);
  }
  const mean = (sample: number[]): number => sample.reduce((sum, value) => sum + value, 0) / sample.length;
  const interval: [number, number] =
    single.length === 0
      ? [Number.NaN, Number.NaN]
      : bootstrapInterval(
          single.map((value) => [value]),
          mean,
        );
  return { name, ...whole.scores(), interval, forecasts };
}
