import type { FeatureGroup, GroupColumn } from "./group.ts";

/** Steps of the windows that are compared with the ones before them. */
const WINDOWS = [1, 3, 6, 12] as const;
const MAX_VALUE = 30;

const COLUMNS: readonly GroupColumn[] = WINDOWS.flatMap((window) => [
  { name: `velocity_${window}`, unit: "scale per window", known: "late" as const },
  { name: `velocity_acceleration_${window}`, unit: "scale per window²", known: "late" as const },
  { name: `velocity_excess_${window}`, unit: "scale per window", known: "late" as const },
]);

/**
 * First and second difference of the load over windows of 1, 3, 6 and 12 steps, and how far the first is beyond the same one a
 * season before: the rise of a flash crowd has no counterpart there, that of a morning has.
 */
export const velocity: FeatureGroup = {
  name: "velocity",
  version: 1,
  fit: () => ({}),
  columns: () => COLUMNS,
  needs: () => [],
  prepare:
    () =>
    ({ past, origin, season, horizon, scale }) => {
      const { values } = past;
      const lag = season * Math.ceil(horizon / season);
      const told = new Float32Array(COLUMNS.length);
      for (let k = 0, at = 0; k < WINDOWS.length; k++) {
        const window = WINDOWS[k]!;
        const last = mean(values, origin, window);
        const before = mean(values, origin - window, window);
        const earlier = mean(values, origin - 2 * window, window);
        const inCycle = mean(values, origin - lag, window) - mean(values, origin - lag - window, window);
        told[at++] = limited((last - before) / scale);
        told[at++] = limited((last - 2 * before + earlier) / scale);
        told[at++] = limited((last - before - inCycle) / scale);
      }
      return (_, row, at) => {
        for (let i = 0; i < told.length; i++) row[at + i] = told[i]!;
      };
    },
};

/** Of the `window` steps before `end`; NaN where the past begins later. */
function mean(values: Float64Array, end: number, window: number): number {
  if (end < window) return Number.NaN;
  let sum = 0;
  for (let i = end - window; i < end; i++) sum += values[i]!;
  return sum / window;
}

function limited(value: number): number {
  return Number.isFinite(value) ? Math.max(-MAX_VALUE, Math.min(MAX_VALUE, value)) : 0;
}
