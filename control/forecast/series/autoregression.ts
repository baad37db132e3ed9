import type { ForecastShape } from "../baselines/quantiles.ts";
import { errorQuantiles } from "./error-quantiles.ts";

/*
 * Autoregression (Yule 1927) on the last steps and on those one and two seasons before, by least squares with a slight ridge; the order,
 * the seasonal lags, and whether differences are taken come from the criterion of Schwarz (1978); Akaike's takes so many lags of thirty
 * smooth steps that nothing is left to err. It forecasts what waves without a fixed period (animals, spots of the sun) and what falls back
 * to a mean.
 */

/** Newest steps that coefficients are sought on, four seasons at least. */
const MAX_FITTED = 20_000;
/** How many of the last steps may count. */
const ORDERS = [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 24];
/** Steps per coefficient at least. */
const STEPS_PER_LAG = 6;
/** Of the sum of squares, added to the diagonal: keeps lags that are nearly alike apart. */
const RIDGE = 1e-6;
/** Ranges of all that was seen by which a forecast may leave it: a fitted recursion can run away. */
const MAX_LEAVE = 1;

/** Steps of past below which there is no answer. */
export function leastForAutoregression({ season, horizon }: { season: number; horizon: number }): number {
  return Math.max(12, season + 2 + horizon);
}

/** How values are looked at, and the way back. */
export interface Transform {
  there: (value: number) => number;
  back: (value: number) => number;
}

/** Quantiles of the next `horizon` steps, [level][step]. @param past finite, and what the transform can take */
export function autoregressionQuantiles(
  past: Float64Array,
  { season, horizon, levels }: ForecastShape,
  { there, back }: Transform = { there: (value) => value, back: (value) => value },
): Float64Array[] {
  const values = past.map(there);
  const model = fitted(values.subarray(Math.max(0, values.length - Math.max(MAX_FITTED, 4 * season))), season);
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const leave = MAX_LEAVE * (most - least);
  const path = (origin: number): Float64Array =>
    continued(values, origin, horizon, model).map((value) =>
      back(Math.min(most + leave, Math.max(least - leave, value))),
    );
  return errorQuantiles(past, path, Math.max(0, ...model.lags) + 1, { horizon, levels });
}

interface Model {
  lags: readonly number[];
  weights: Float64Array;
  /** What values are counted from, unless their differences are. */
  mean: number;
  differenced: boolean;
}

function continued(
  values: Float64Array,
  origin: number,
  horizon: number,
  { lags, weights, mean, differenced }: Model,
): Float64Array {
  const out = new Float64Array(horizon);
  const known = (t: number): number => (t < origin ? values[t]! : out[t - origin]!);
  for (let h = 0; h < horizon; h++) {
    let sum = differenced ? known(origin + h - 1) : mean;
    for (let i = 0; i < lags.length; i++) {
      const at = origin + h - lags[i]!;
      sum += weights[i]! * (known(at) - (differenced ? known(at - 1) : mean));
    }
    out[h] = sum;
  }
  return out;
}

function fitted(values: Float64Array, season: number): Model {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  let best: Model = { lags: [], weights: new Float64Array(0), mean, differenced: true };
  let least = Number.POSITIVE_INFINITY;
  for (const differenced of [false, true]) {
    const series = differenced
      ? values.subarray(1).map((value, t) => value - values[t]!)
      : values.map((value) => value - mean);
    for (const seasonal of season > 1 ? [[], [season, season + 1], [season, season + 1, 2 * season]] : [[]]) {
      if (2 * Math.max(0, ...seasonal) > series.length - 2) continue;
      const orders = ORDERS.filter((order) => (order + seasonal.length) * STEPS_PER_LAG <= series.length);
      const near = Array.from({ length: orders.at(-1) ?? 0 }, (_, i) => i + 1).filter((lag) => !seasonal.includes(lag));
      const lags = [...seasonal, ...near];
      const sums = sumsOf(series, lags);
      for (const order of orders) {
        const used = seasonal.length + near.filter((lag) => lag <= order).length;
        // Beside the weights the variance, and the mean.
        const parameters = used + (differenced ? 1 : 2);
        const solved = solve(sums, used);
        if (solved === null || sums.count <= parameters + 2) continue;
        const criterion =
          Math.log(Math.max(solved.squares / sums.count, Number.MIN_VALUE)) +
          (Math.log(sums.count) * parameters) / (sums.count - parameters - 1);
        if (criterion >= least) continue;
        least = criterion;
        best = { lags: lags.slice(0, used), weights: solved.weights, mean, differenced };
      }
    }
  }
  return best;
}

interface Sums {
  /** [i][j], j ≤ i: Σ of the products of the series at both lags. */
  products: Float64Array[];
  /** Σ of the products with the step itself. */
  targets: Float64Array;
  square: number;
  count: number;
}

/**
 * Σ y(t − a)·y(t − b) over the steps at which all lags are known. A pair that lies as far apart as another has the same sum but for its
 * ends, so each distance is summed once: a pass per lag instead of one per pair.
 */
function sumsOf(series: Float64Array, lags: readonly number[]): Sums {
  const from = Math.max(0, ...lags);
  const known = new Map<number, { lag: number; sum: number }>();
  const product = (near: number, apart: number): number => {
    let at = known.get(apart);
    if (at === undefined || at.lag > near) {
      let sum = 0;
      for (let t = from - near; t < series.length - near; t++) sum += series[t]! * series[t - apart]!;
      at = { lag: near, sum };
      known.set(apart, at);
    }
    for (; at.lag < near; at.lag++) {
      const [first, last] = [from - at.lag - 1, series.length - at.lag - 1];
      at.sum += series[first]! * series[first - apart]! - series[last]! * series[last - apart]!;
    }
    return at.sum;
  };
  const all = [0, ...lags];
  const table = all.map(() => new Float64Array(all.length));
  const pairs = all.flatMap((a, i) =>
    all.slice(0, i + 1).map((b, j) => ({ i, j, near: Math.min(a, b), apart: Math.abs(a - b) })),
  );
  for (const { i, j, near, apart } of pairs.sort((one, other) => one.near - other.near))
    table[i]![j] = product(near, apart);
  return {
    products: table.slice(1).map((row) => row.slice(1)),
    targets: Float64Array.from(lags, (_, i) => table[i + 1]![0]!),
    square: table[0]![0]!,
    count: series.length - from,
  };
}

/** Weights of the first `size` lags by Cholesky's decomposition, and the sum of squared errors that they leave; null where there is none. */
function solve({ products, targets, square }: Sums, size: number): { weights: Float64Array; squares: number } | null {
  const lower = Array.from({ length: size }, () => new Float64Array(size));
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= i; j++) {
      let sum = products[i]![j]! + (i === j ? RIDGE * square : 0);
      for (let k = 0; k < j; k++) sum -= lower[i]![k]! * lower[j]![k]!;
      if (i !== j) lower[i]![j] = sum / lower[j]![j]!;
      else if (sum > 0) lower[i]![i] = Math.sqrt(sum);
      else return null;
    }
  const weights = targets.slice(0, size);
  let squares = square;
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) weights[i]! -= lower[i]![k]! * weights[k]!;
    weights[i]! /= lower[i]![i]!;
    squares -= weights[i]! ** 2;
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) weights[i]! -= lower[k]![i]! * weights[k]!;
    weights[i]! /= lower[i]![i]!;
  }
  return { weights, squares };
}
