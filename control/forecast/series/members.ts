import { BASELINES } from "../baselines/all.ts";
import { baselineForecaster } from "../baselines/baseline-forecaster.ts";
import { holtWinters, holtWintersOfLogs } from "../baselines/holt-winters.ts";
import type { ForecastShape } from "../baselines/quantiles.ts";
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

/** Every baseline, and what else a mixture may take a share of. */
export function membersOf(shape: ForecastShape): Member[] {
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
  const seasonal = season > 1 ? [holtWinters, holtWintersOfLogs] : [];
  for (const baseline of [...BASELINES, ...seasonal])
    if (!members.some(({ name }) => name === baseline.name))
      members.push({
        name: baseline.name,
        least: baseline.least(shape),
        forecaster: baselineForecaster(baseline, shape),
      });
  members.push({ name: COMBINATION, least: leastPast(shape), forecaster: (past) => bankQuantiles(past, shape)! });
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
