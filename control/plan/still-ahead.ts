import type { DemandForecast } from "../forecast/forecast.ts";

/** Without the forecasts whose last step is over: they say nothing of what comes, and without them weights go home to the base. */
export function stillAhead(
  forecasts: ReadonlyMap<string, DemandForecast>,
  nowMs: number,
): ReadonlyMap<string, DemandForecast> {
  const isAhead = ({ issuedAtMs, stepMs, values }: DemandForecast): boolean =>
    issuedAtMs + stepMs * values.steps > nowMs;
  for (const forecast of forecasts.values())
    if (!isAhead(forecast)) return new Map([...forecasts].filter(([, one]) => isAhead(one)));
  return forecasts;
}
