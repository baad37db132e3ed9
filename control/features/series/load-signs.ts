import type { FeatureStatistics } from "../feature-statistics.ts";

/**
 * What the inputs of a series model cannot show, since they are in units of the series' own spread: how noisy, how large and how full of
 * gaps a load is beside what it was. Each is of the last season of steps (a day), so the time of day plays no part.
 */
export const LOAD_SIGNS: readonly string[] = ["noise_change", "size_change", "noise", "gaps"];

/** Seasons before the last that it is compared with: the fewest without which nothing is said, and the most. */
const LEAST_SEASONS = 3;
const MOST_SEASONS = 28;
/** How far beyond everything that training saw a sign may lie, in its own unit: octaves, and a share of steps. */
const MARGIN = { noise_change: 0.25, size_change: 0.75, noise: 1, gaps: 0.05 } as const;

/** Steps of past that the signs at an origin look at, at most. */
export function signReach(season: number): number {
  return (MOST_SEASONS + 1) * season;
}

/** Of a load before a step, in the order of LOAD_SIGNS; NaN where it cannot be told: by fewer than three seasons with readings before. */
export function signsAt(values: ArrayLike<number>, origin: number, season: number): Float32Array {
  const before = Math.min(MOST_SEASONS, Math.floor(origin / season) - 1);
  const signs = new Float32Array(LOAD_SIGNS.length).fill(Number.NaN);
  const now = daily(values, origin - season, origin);
  const past: Daily[] = [];
  for (let k = 1; k <= before; k++) {
    const one = daily(values, origin - (k + 1) * season, origin - k * season);
    // The day on which a service began is none to compare with.
    if (Number.isFinite(one.noise) && one.gaps < 0.5) past.push(one);
  }
  if (past.length < LEAST_SEASONS) return signs;
  signs[0] = Math.log2(now.noise / median(past.map(({ noise }) => noise)));
  signs[1] = Math.log2(now.mean / median(past.map(({ mean }) => mean)));
  signs[2] = Math.log2(now.noise);
  signs[3] = now.gaps;
  for (const [i, sign] of signs.entries()) if (!Number.isFinite(sign)) signs[i] = Number.NaN;
  return signs;
}

/**
 * How the signs of loads were distributed in training, over all of each series: what is below, within and above of what was ever seen, with a
 * margin. Null when no series is long enough.
 */
export function signStatistics(
  series: readonly { values: ArrayLike<number> }[],
  season: number,
): FeatureStatistics | null {
  const seen = LOAD_SIGNS.map(() => ({
    low: Number.POSITIVE_INFINITY,
    high: Number.NEGATIVE_INFINITY,
    count: 0,
    missing: 0,
  }));
  const every = Math.max(1, Math.round(season / 4));
  for (const { values } of series)
    for (let origin = (LEAST_SEASONS + 1) * season; origin <= values.length; origin += every)
      for (const [i, sign] of signsAt(values, origin, season).entries()) {
        const one = seen[i]!;
        if (Number.isNaN(sign)) {
          one.missing++;
          continue;
        }
        one.count++;
        one.low = Math.min(one.low, sign);
        one.high = Math.max(one.high, sign);
      }
  const features = seen.flatMap(({ low, high, count, missing }, i) => {
    if (count === 0) return [];
    const name = LOAD_SIGNS[i]!;
    const margin = MARGIN[name as keyof typeof MARGIN];
    // A share of gaps cannot be too small.
    return name === "gaps"
      ? [{ name, edges: [high + margin], counts: [count, 0], missing }]
      : [{ name, edges: [low - margin, high + margin], counts: [0, count, 0], missing }];
  });
  return features.length === 0 ? null : { version: 1, rows: Math.max(...seen.map(({ count }) => count)), features };
}

interface Daily {
  mean: number;
  /** Mean distance of a step from the middle of its neighbours, in units of that: neither level nor slope plays a part, nor the odd jump. */
  noise: number;
  gaps: number;
}

/** Share of the distances, the largest ones, that are left out: what jumps is no noise. */
const JUMPS = 0.05;

function daily(values: ArrayLike<number>, from: number, to: number): Daily {
  const distances = new Float64Array(to - from);
  let count = 0;
  let sum = 0;
  let known = 0;
  for (let t = from; t < to; t++) {
    const value = values[t]!;
    if (!Number.isFinite(value)) continue;
    sum += value;
    known++;
    if (t === from || t + 1 === to) continue;
    const middle = (values[t - 1]! + values[t + 1]!) / 2;
    if (middle > 0) distances[count++] = Math.abs(value - middle) / middle;
  }
  const sorted = distances.subarray(0, count).sort();
  const kept = Math.ceil(count * (1 - JUMPS));
  let total = 0;
  for (let i = 0; i < kept; i++) total += sorted[i]!;
  return { mean: sum / known, noise: total / kept, gaps: 1 - known / (to - from) };
}

function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
