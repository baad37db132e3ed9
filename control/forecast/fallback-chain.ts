import { HORIZON_STEPS } from "../features/schema.ts";
import { lastObserved, lastValue, seasonalNaive } from "./baselines.ts";
import type { DemandForecast, ForecastSource } from "./forecast.ts";
import { type FallbackReason, reasonText } from "./reasons.ts";

/** Days of history that the baselines look at: residuals of four weeks against the week before each. */
export const BASELINE_DAYS = 35;

export interface FallThroughInput {
  service: string;
  /** Complete steps before `issuedAtMs`, oldest first, NaN = missing; BASELINE_DAYS of them or more. */
  tail: Float64Array;
  stepMs: number;
  issuedAtMs: number;
  levels: readonly number[];
  /** The model's values[level][step], or why there are none. */
  answer: readonly Float64Array[] | FallbackReason;
}

/** The first link that can answer: model → seasonal naive (a week, else a day) → last → none. Pure. */
export function fallThrough(input: FallThroughInput): DemandForecast {
  const { service, tail, stepMs, issuedAtMs, levels, answer } = input;
  const stepsPerDay = Math.max(1, Math.round(86_400_000 / stepMs));
  const observed = lastObserved(tail, Math.max(1, Math.round(stepsPerDay / 24)));
  const lastRps = Number.isNaN(observed) ? null : observed;
  const reasons: string[] = [];
  const make = (source: ForecastSource, values: readonly Float64Array[]): DemandForecast => {
    return { service, source, fallbackReasons: reasons, issuedAtMs, stepMs, levels, values, lastRps };
  };
  if (!("code" in answer)) return make("model", answer);
  reasons.push(reasonText(answer));
  for (const days of [7, 1]) {
    const values = seasonalNaive(tail, days * stepsPerDay, HORIZON_STEPS, levels, stepsPerDay);
    if (typeof values !== "string") return make("seasonal_naive", values);
    reasons.push(`seasonal naive over ${days === 1 ? "a day" : "a week"}: ${values}`);
  }
  const values = lastValue(tail, HORIZON_STEPS, levels, stepsPerDay);
  if (typeof values !== "string") return make("last", values);
  reasons.push(`last value: ${values}`);
  const nothing = levels.map(() => new Float64Array(HORIZON_STEPS));
  return make("none", nothing);
}
