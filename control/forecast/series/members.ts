import { BASELINES } from "../baselines/all.ts";
import { baselineForecaster } from "../baselines/baseline-forecaster.ts";
import { holtWinters, holtWintersOfLogs } from "../baselines/holt-winters.ts";
import type { ForecastShape } from "../baselines/quantiles.ts";
import { autoregressionQuantiles, leastForAutoregression } from "./autoregression.ts";
import { bankQuantiles, leastPast } from "./bank-forecast.ts";
import { naive, seasonalNaive } from "./naive.ts";
import { phaseQuantiles, recentQuantiles } from "./past-quantiles.ts";
import type { WindowForecaster } from "./window-backtest.ts";

/** The anchor that a series model corrects, as a forecast of its own. */
export const COMBINATION = "combination";
export const REFERENCE = "seasonal naive";

/** A forecast that needs no training. */
export interface Member {
  name: string;
  /** Steps of past below which it cannot answer. */
  least: number;
  forecaster: WindowForecaster;
}

/** The forecasts of textbooks; what lies in the middle of them is a member of its own, see `classical-median.ts`. */
export const CLASSICS: readonly string[] = [
  "Holt damped",
  "theta",
  "Holt-Winters",
  "Holt-Winters of logs",
  "autoregression",
  "autoregression of logs",
];
/** Of a past that is hardly longer than two seasons, those that take the season for granted. */
export const CLASSICS_OF_SHORT_PASTS: readonly string[] = [
  "Holt-Winters",
  "autoregression",
  "day profile + EWMA",
  REFERENCE,
];
/** These stand beside them where nothing repeats and the seasonal ones are missing. */
export const CLASSICS_WITHOUT_SEASON: readonly string[] = [...CLASSICS, COMBINATION, "day profile + EWMA"];

/** Steps without a reading do not count. */
const isPositive = (past: Float64Array): boolean => past.every((value) => !(value <= 0));

/**
 * Every baseline, and what else a mixture may take a share of.
 * @param history those of logarithms are left out where a value of it is not above nought: they would be the plain ones once more
 */
export function membersOf(shape: ForecastShape, history: Float64Array): Member[] {
  const { season, horizon, levels } = shape;
  const recent = (name: string, steps: number): Member => ({
    name,
    least: 2,
    forecaster: (past) => recentQuantiles(past, horizon, levels, steps),
  });
  const members: Member[] = [
    { name: "naive", least: 2, forecaster: (past) => naive(past, horizon, levels) },
    { name: REFERENCE, least: season + 1, forecaster: (past) => seasonalNaive(past, horizon, levels, season) },
  ];
  const logs = isPositive(history);
  const seasonal = season > 1 ? [holtWinters, ...(logs ? [holtWintersOfLogs] : [])] : [];
  for (const baseline of [...BASELINES, ...seasonal])
    if (!members.some(({ name }) => name === baseline.name))
      members.push({
        name: baseline.name,
        least: baseline.least(shape),
        forecaster: baselineForecaster(baseline, shape),
      });
  members.push({ name: COMBINATION, least: leastPast(shape), forecaster: (past) => bankQuantiles(past, shape)! });
  const least = leastForAutoregression(shape);
  members.push({ name: "autoregression", least, forecaster: (past) => autoregressionQuantiles(past, shape) });
  if (logs)
    members.push({
      name: "autoregression of logs",
      least,
      forecaster: (past) =>
        autoregressionQuantiles(past, shape, isPositive(past) ? { there: Math.log, back: Math.exp } : undefined),
    });
  members.push(recent("recent quantiles", Math.max(2 * horizon, 24)));
  members.push(recent("older quantiles", Math.max(10 * horizon, 4 * season, 100)));
  if (season > 1)
    members.push({
      name: "quantiles by phase",
      least: season + horizon,
      forecaster: (past) => phaseQuantiles(past, horizon, levels, season),
    });
  return members;
}
