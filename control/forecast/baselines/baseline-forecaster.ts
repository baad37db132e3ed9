import type { WindowForecaster } from "../series/window-backtest.ts";
import type { Baseline } from "./baseline.ts";
import { baselineQuantiles, type ForecastShape } from "./quantiles.ts";

/** A baseline in the form that `scoreWindows` takes, fitted anew on each past. Throws on a past that is too short: the caller chose the windows. */
export function baselineForecaster(baseline: Baseline, shape: ForecastShape): WindowForecaster {
  return (past) => {
    const quantiles = baselineQuantiles(baseline, past, shape);
    if (quantiles === null) throw new Error(`a past of ${past.length} is too short for ${baseline.name}`);
    return quantiles;
  };
}
