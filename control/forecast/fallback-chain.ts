import type { LoadHistory } from "../ingest/load-history.ts";
import { baselineQuantiles } from "./baselines/quantiles.ts";
import { theta } from "./baselines/theta.ts";
import { lastValue, seasonalNaive } from "./fallback-baselines.ts";
import type { DemandForecast, ForecastSource } from "./forecast.ts";
import { Quantiles } from "./quantiles.ts";
import { type FallbackReason, reasonText } from "./reasons.ts";

/** Days of history that the seasonal baseline looks at: residuals of four weeks against the week before each. */
const SEASONAL_DAYS = 35;
/** Theta learns a daily season and a level; older days than these would blur both. */
const THETA_DAYS = 14;
/** The least from which a daily season can be told from a trend. */
const MIN_THETA_DAYS = 2;

export interface FallThroughInput {
  service: string;
  /** Only complete steps before `issuedAtMs` are read. */
  history: LoadHistory;
  issuedAtMs: number;
  levels: readonly number[];
  horizonSteps: number;
  /** Why the model says nothing. */
  reason: FallbackReason;
}

/** The newest reading of the hour before `issuedAtMs`, requests per second; NaN without any. */
export function lastReading(history: LoadHistory, service: string, issuedAtMs: number): number {
  const hour = Math.max(1, Math.round(stepsPerDayOf(history) / 24));
  return history.newest(service, issuedAtMs, hour);
}

function stepsPerDayOf({ stepMs }: LoadHistory): number {
  return Math.max(1, Math.round(86_400_000 / stepMs));
}

/**
 * Where the model does not answer, the first link that can: seasonal naive over a week → theta → seasonal naive over a day → last → none. A link that is
 * skipped says why. Theta errs less at the median where the rhythm has moved, but its upper quantiles are so wide on such days that plans
 * made from it shift load for nothing; so it stands in where there is no week to look back to. Pure.
 */
export function fallThrough(input: FallThroughInput): DemandForecast {
  const { service, history, issuedAtMs, levels, horizonSteps, reason } = input;
  const { stepMs } = history;
  const stepsPerDay = stepsPerDayOf(history);
  const observed = lastReading(history, service, issuedAtMs);
  const lastRps = Number.isNaN(observed) ? null : observed;
  const reasons = [reasonText(reason)];
  const make = (source: ForecastSource, rows: readonly ArrayLike<number>[]): DemandForecast => {
    const values = Quantiles.of(rows);
    return { service, source, fallbackReasons: reasons, issuedAtMs, stepMs, levels, values, lastRps };
  };
  const tail = tailOf(history, service, issuedAtMs, SEASONAL_DAYS * stepsPerDay);
  const weekly = seasonalNaive(tail, 7 * stepsPerDay, horizonSteps, levels, stepsPerDay);
  const shape = { season: stepsPerDay, horizon: horizonSteps, levels };
  if (typeof weekly !== "string") return make("seasonal_naive", weekly);
  reasons.push(`seasonal naive over a week: ${weekly}`);
  const past = known(tail, THETA_DAYS * stepsPerDay);
  if (lastRps === null) reasons.push("theta: no load was seen in the last hour");
  else if (past.length < MIN_THETA_DAYS * stepsPerDay) reasons.push("theta: two days of load are needed");
  else {
    const values = baselineQuantiles(theta, past, shape);
    if (values?.every((row) => row.every(Number.isFinite)) === true)
      return make(
        "theta",
        values.map((row) => row.map((value) => Math.max(0, value))),
      );
    reasons.push("theta: it does not fit this load");
  }
  const daily = seasonalNaive(tail, stepsPerDay, horizonSteps, levels, stepsPerDay);
  if (typeof daily !== "string") return make("seasonal_naive", daily);
  reasons.push(`seasonal naive over a day: ${daily}`);
  const values = lastValue(tail, horizonSteps, levels, stepsPerDay);
  if (typeof values !== "string") return make("last", values);
  reasons.push(`last value: ${values}`);
  return make(
    "none",
    levels.map(() => new Float64Array(horizonSteps)),
  );
}

let tailMemory = new Float64Array(0);

/** As `history.tail`, in memory that the next call uses again: nothing of it is in a forecast. */
function tailOf(history: LoadHistory, service: string, nowMs: number, steps: number): Float64Array {
  if (tailMemory.length !== steps) tailMemory = new Float64Array(steps);
  history.tailInto(service, nowMs, tailMemory);
  return tailMemory;
}

/** The last `steps`, from the first reading on. */
function known(tail: Float64Array, steps: number): Float64Array {
  const last = tail.subarray(-steps);
  const first = last.findIndex(Number.isFinite);
  return first < 0 ? last.subarray(0, 0) : last.subarray(first);
}
