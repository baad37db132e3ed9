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
      const lag = season * Math.ceil(horizon / season);
      const mean = (end: number, window: number): number => {
        if (end < window) return Number.NaN;
        let sum = 0;
        for (let i = end - window; i < end; i++) sum += past.values[i]!;
        return sum / window;
      };
      const values = Float32Array.from(
        WINDOWS.flatMap((window) => {
          const [last, before, earlier] = [0, 1, 2].map((k) => mean(origin - k * window, window)) as [
            number,
            number,
            number,
          ];
          const inCycle = mean(origin - lag, window) - mean(origin - lag - window, window);
          return [last - before, last - 2 * before + earlier, last - before - inCycle].map((value) => {
            const scaled = value / scale;
            return Number.isFinite(scaled) ? Math.max(-MAX_VALUE, Math.min(MAX_VALUE, scaled)) : 0;
          });
        }),
      );
      return (_, row, at) => {
        row.set(values, at);
      };
    },
};
