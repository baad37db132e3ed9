import { seededRandom } from "./random.ts";

/** Quantile by linear interpolation between order statistics (type 7). `q` in 0 … 1; throws on an empty list. */
export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) throw new Error("quantile of nothing");
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] as number;
  const high = sorted[Math.ceil(at)] as number;
  return low + (high - low) * (at - Math.floor(at));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function mean(values: readonly number[]): number {
  if (values.length === 0) throw new Error("mean of nothing");
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export interface Quartiles {
  q1: number;
  median: number;
  q3: number;
}

export function quartiles(values: readonly number[]): Quartiles {
  return { q1: quantile(values, 0.25), median: median(values), q3: quantile(values, 0.75) };
}

export interface Interval {
  low: number;
  high: number;
}

/** Percentile bootstrap of a statistic over rounds (Efron 1979). Default 95 %, 2,000 resamples, fixed seed. */
export function bootstrapInterval(
  values: readonly number[],
  statistic: (sample: readonly number[]) => number,
  options: { resamples?: number; confidence?: number; seed?: number } = {},
): Interval {
  const { resamples = 2000, confidence = 0.95, seed = 1 } = options;
  if (values.length === 0) throw new Error("bootstrap of nothing");
  const random = seededRandom(seed);
  const statistics: number[] = [];
  for (let i = 0; i < resamples; i++) {
    statistics.push(statistic(values.map(() => values[Math.floor(random() * values.length)] as number)));
  }
  const tail = (1 - confidence) / 2;
  return { low: quantile(statistics, tail), high: quantile(statistics, 1 - tail) };
}
