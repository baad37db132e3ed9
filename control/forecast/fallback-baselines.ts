/*
 * Forecasts without a model. Each gives values[level][step] in requests per second, ascending over the levels, or a
 * sentence that says why it cannot answer. Spread around the point comes from the baseline's own past residuals.
 */

import { select } from "./baselines/select.ts";

export type BaselineValues = Float64Array[];

/** Residuals older than this say little about today's error. The last value has one sort per step, so it looks less far. */
const SEASONAL_RESIDUAL_DAYS = 28;
const LAST_RESIDUAL_DAYS = 7;
/** With fewer residuals a quantile such as 0.99 is a guess; the point forecast stands for all levels then. */
const MIN_RESIDUALS = 48;
/** A hole one season ago is bridged by the nearest value within this many steps. */
const BRIDGE_STEPS = 3;

/** The value of one season before, per step. @param values complete steps, oldest first, NaN = missing */
export function seasonalNaive(
  values: Float64Array,
  seasonSteps: number,
  horizonSteps: number,
  levels: readonly number[],
  stepsPerDay: number,
): BaselineValues | string {
  const points = new Float64Array(horizonSteps);
  for (let h = 0; h < horizonSteps; h++) {
    const then = values.length + h - seasonSteps * Math.ceil((h + 1) / seasonSteps);
    const value = nearest(values, then);
    if (Number.isNaN(value)) return "no load was seen one season before";
    points[h] = value;
  }
  const from = Math.max(seasonSteps, values.length - SEASONAL_RESIDUAL_DAYS * stepsPerDay);
  const offsets = residualQuantiles(residualsOf(values, from, seasonSteps), levels);
  return offsets.map((offset) => points.map((point) => Math.max(0, point + offset)));
}

/** The last value of the last hour, with the spread of past changes over the same number of steps. */
export function lastValue(
  values: Float64Array,
  horizonSteps: number,
  levels: readonly number[],
  stepsPerDay: number,
): BaselineValues | string {
  const point = lastObserved(values, Math.round(stepsPerDay / 24));
  if (Number.isNaN(point)) return "no load was seen in the last hour";
  const rows = levels.map(() => new Float64Array(horizonSteps));
  const from = Math.max(0, values.length - LAST_RESIDUAL_DAYS * stepsPerDay);
  for (let h = 0; h < horizonSteps; h++) {
    residualQuantiles(residualsOf(values, from + h + 1, h + 1), levels).forEach((offset, level) => {
      rows[level]![h] = Math.max(0, point + offset);
    });
  }
  return rows;
}

/** Newest valid value within the last `lookbackSteps`; NaN when there is none. */
export function lastObserved(values: Float64Array, lookbackSteps: number): number {
  for (let i = values.length - 1; i >= Math.max(0, values.length - lookbackSteps); i--)
    if (!Number.isNaN(values[i]!)) return values[i]!;
  return Number.NaN;
}

function nearest(values: Float64Array, index: number): number {
  for (let distance = 0; distance <= BRIDGE_STEPS; distance++) {
    for (const i of [index - distance, index + distance]) {
      const value = values[i];
      if (i >= 0 && value !== undefined && !Number.isNaN(value)) return value;
    }
  }
  return Number.NaN;
}

/** Used again from call to call: for thousands of services in a row, fresh ones would be tens of kilobytes each for the garbage collector. */
let residualMemory = new Float64Array(0);

/** What differs from the value `lag` steps before, from step `from` on. @returns memory that the next call uses again */
function residualsOf(values: Float64Array, from: number, lag: number): Float64Array {
  if (residualMemory.length < values.length) residualMemory = new Float64Array(values.length);
  let count = 0;
  for (let i = from; i < values.length; i++) {
    const residual = values[i]! - values[i - lag]!;
    if (!Number.isNaN(residual)) residualMemory[count++] = residual;
  }
  return residualMemory.subarray(0, count);
}

/**
 * Offsets from the point, one per level: the empirical quantiles of the residuals, but exactly 0 at 0.5 and never on the
 * wrong side of it, so that the point forecast is the plain baseline and levels do not cross.
 */
function residualQuantiles(residuals: Float64Array, levels: readonly number[]): number[] {
  if (residuals.length < MIN_RESIDUALS) return levels.map(() => 0);
  const last = residuals.length - 1;
  let selected = 0;
  return levels.map((level) => {
    const place = Math.min(last, Math.floor(level * residuals.length));
    // Levels ascend: what lies before the place of one is not looked at for the next.
    const offset = select(residuals, place, place < selected ? 0 : selected);
    selected = place;
    return level === 0.5 ? 0 : level > 0.5 ? Math.max(0, offset) : Math.min(0, offset);
  });
}
