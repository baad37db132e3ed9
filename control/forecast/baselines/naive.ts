import type { Baseline } from "./baseline.ts";

/*
 * The simple methods of Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, §5.2.
 */

/** ŷ(T+h) = y(T). */
export const naive: Baseline = {
  name: "naive",
  least: () => 1,
  fit: (past) => ({ from: 1, at: (origin) => past[origin - 1]! }),
};

/** ŷ(T+h) = y(T + h − m·⌈h/m⌉). */
export const seasonalNaive: Baseline = {
  name: "seasonal naive",
  least: ({ season }) => season,
  fit: (past, { season }) => ({
    from: season,
    at: (origin, ahead) => past[origin + ahead - 1 - season * Math.ceil(ahead / season)]!,
  }),
};

/** ŷ(T+h) = y(T) + h·(y(T) − y(1))/(T − 1): the line through the first and the last value. */
export const drift: Baseline = {
  name: "drift",
  least: () => 2,
  fit: (past) => ({
    from: 2,
    at(origin, ahead) {
      const last = past[origin - 1]!;
      return last + (ahead * (last - past[0]!)) / (origin - 1);
    },
  }),
};

/** ŷ(T+h) = mean of the last k values. @param k default: as many steps as are forecast */
export function meanOfLast(k?: number): Baseline {
  return {
    name: k === undefined ? "mean-k" : `mean-${k}`,
    least: ({ horizon }) => k ?? horizon,
    fit(past, { horizon }) {
      const width = k ?? horizon;
      // Sums are taken around the first value, so that a constant series gives its value exactly.
      const base = past[0]!;
      const sums = new Float64Array(past.length + 1);
      for (let t = 0; t < past.length; t++) sums[t + 1] = sums[t]! + (past[t]! - base);
      return { from: width, at: (origin) => base + (sums[origin]! - sums[origin - width]!) / width };
    },
  };
}
