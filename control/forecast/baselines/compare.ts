import { provisionAreas } from "../provision.ts";
import { lastWindows, scoreWindows, type WindowForecaster, type WindowScores } from "../series/window-backtest.ts";
import { BASELINES } from "./all.ts";
import type { Baseline } from "./baseline.ts";
import { baselineQuantiles, type ForecastShape } from "./quantiles.ts";

export interface CompareOptions {
  season: number;
  horizon: number;
  /** Windows at the end of the series, without overlap. */
  windows: number;
  /** Default 0.1 … 0.9, as GIFT-Eval. */
  levels?: readonly number[];
  /** Length of a step; default 1 s, so that areas are in the unit of the series times steps. */
  stepMs?: number;
  baselines?: readonly Baseline[];
}

/** One line of the table. */
export interface BaselineRow extends WindowScores {
  /** Areas between the load and a plan for the highest level, summed over the windows; in requests when the series is in rps. */
  under: number;
  over: number;
}

const LEVELS: readonly number[] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/**
 * Scores each baseline on the last windows, each fitted anew on what lies before its window. Best MASE first. A baseline for which the past
 * before the first window is too short is left out.
 */
export async function compareBaselines(series: Float64Array, options: CompareOptions): Promise<BaselineRow[]> {
  const { season, horizon, windows: count, levels = LEVELS, stepMs = 1000, baselines = BASELINES } = options;
  const windows = lastWindows(series, horizon, count);
  const first = series.length - count * horizon;
  const rows: BaselineRow[] = [];
  for (const baseline of baselines) {
    if (first < baseline.least({ season, horizon })) continue;
    const forecaster = baselineForecaster(baseline, { season, horizon, levels });
    const scores = await scoreWindows(baseline.name, windows, forecaster, { season, levels });
    let under = 0;
    let over = 0;
    for (const [i, { actual }] of windows.entries()) {
      const areas = provisionAreas(actual, scores.forecasts[i]!.at(-1)!, stepMs);
      under += areas.under;
      over += areas.over;
    }
    rows.push({ ...scores, under, over });
  }
  return rows.sort((a, b) => a.mase - b.mase);
}

/** The baseline in the form that `scoreWindows` takes. Throws on a past that is too short: the caller chose the windows. */
export function baselineForecaster(baseline: Baseline, shape: ForecastShape): WindowForecaster {
  return (past) => {
    const quantiles = baselineQuantiles(baseline, past, shape);
    if (quantiles === null) throw new Error(`a past of ${past.length} is too short for ${baseline.name}`);
    return quantiles;
  };
}
