import type { Quantiles } from "./quantiles.ts";

/**
 * Which link of the chain answered, the best first: model → seasonal naive over a week → theta (or seasonal naive over a day) → last value
 * → none (base weights).
 */
export const FORECAST_SOURCES = ["model", "seasonal_naive", "theta", "last", "none"] as const;
export type ForecastSource = (typeof FORECAST_SOURCES)[number];

/** Demand of one service over the next steps. */
export interface DemandForecast {
  service: string;
  source: ForecastSource;
  /** Why an earlier link of the chain did not answer; empty for the model. One sentence each. */
  fallbackReasons: readonly string[];
  /** Planning time at which it was made; step h covers [issuedAtMs + h·stepMs, issuedAtMs + (h+1)·stepMs). */
  issuedAtMs: number;
  stepMs: number;
  /** Ascending levels, for example 0.1, 0.5, 0.9, 0.99. */
  levels: readonly number[];
  /** By index of the level and step, requests per second; never crossing, finite, ≥ 0. */
  values: Quantiles;
  /**
   * Requests per second observed over the last complete step of the past hour: what a plan without any forecast would use.
   * Null when there is none: the load is then not known, which is not the same as no load.
   */
  lastRps: number | null;
}

/** Highest demand over the first `steps` steps at the level nearest to and not below `level`. */
export function peakDemand(forecast: DemandForecast, level: number, steps = Number.POSITIVE_INFINITY): number {
  let index = forecast.levels.findIndex((l) => l >= level - 1e-9);
  if (index < 0) index = forecast.levels.length - 1;
  const { values } = forecast;
  if (index < 0 || index >= values.levels)
    throw new Error(`forecast of ${forecast.service} has no values at level ${level}`);
  let peak = 0;
  for (let h = 0; h < Math.min(steps, values.steps); h++) peak = Math.max(peak, values.at(index, h));
  return peak;
}
