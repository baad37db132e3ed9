import type { DemandForecast } from "../forecast/forecast.ts";

/** Without the forecasts whose last step is over: they say nothing of what comes, and without them weights go home to the base. */
export function stillAhead(
  forecasts: ReadonlyMap<string, DemandForecast>,
  nowMs: number,
): ReadonlyMap<string, DemandForecast> {
  const isAhead = ({ issuedAtMs, stepMs, values }: DemandForecast): boolean =>
    issuedAtMs + stepMs * values.steps > nowMs;
  if ([...forecasts.values()].every(isAhead)) return forecasts;
  return new Map([...forecasts].filter(([, forecast]) => isAhead(forecast)));
}
