/**
 * Classical decomposition by moving averages, as the benchmarks of the M4 competition apply it (Makridakis, Spiliotis & Assimakopoulos
 * 2020; FPP3 §3.4): adjusted if the autocorrelation at the season's lag passes a 90 % test, with indices around a centred moving average.
 */
export interface Adjustment {
  /** none: the test found no season. */
  kind: "none" | "additive" | "multiplicative";
  /** One per phase t mod season; they sum to 0, or average 1. */
  indices: Float64Array;
  adjusted: Float64Array;
  /** Puts the season of step t back on a value. */
  restore(value: number, t: number): number;
  /** What a difference of one in the adjusted series is at step t. */
  spread(t: number): number;
}

/** z of the two-sided 90 % interval, as in the M4 code. */
const Z = 1.645;
/** Index below which dividing would blow noise up; the additive form stands in. */
const MIN_INDEX = 0.01;

/**
 * @param past finite values @param season ≥ 1
 * @param form multiplicative falls back to additive where a value or an index is not safely above zero
 */
export function seasonallyAdjust(past: Float64Array, season: number, form: "additive" | "multiplicative"): Adjustment {
  const none: Adjustment = {
    kind: "none",
    indices: new Float64Array(season),
    adjusted: past,
    restore: (value) => value,
    spread: () => 1,
  };
  if (season < 2 || past.length < 2 * season || !isSeasonal(past, season)) return none;
  const trend = centredMean(past, season);
  if (form === "multiplicative" && past.every((value) => value > 0)) {
    const ratios = phaseMeans(past, season, (value, t) => value / trend[t]!);
    const mean = ratios.reduce((sum, value) => sum + value, 0) / season;
    const indices = ratios.map((value) => value / mean);
    if (indices.every((index) => index > MIN_INDEX))
      return {
        kind: "multiplicative",
        indices,
        adjusted: past.map((value, t) => value / indices[t % season]!),
        restore: (value, t) => value * indices[t % season]!,
        spread: (t) => indices[t % season]!,
      };
  }
  const means = phaseMeans(past, season, (value, t) => value - trend[t]!);
  const mean = means.reduce((sum, value) => sum + value, 0) / season;
  const indices = means.map((value) => value - mean);
  return {
    kind: "additive",
    indices,
    adjusted: past.map((value, t) => value - indices[t % season]!),
    restore: (value, t) => value + indices[t % season]!,
    spread: () => 1,
  };
}

/** Newest seasons that are tested: the test takes their steps times the season's length, and an older season says less about today. */
const TESTED_SEASONS = 30;

/** Lags of a long season that are summed; each costs a pass over the tested seasons, and neighbouring ones are nearly alike. */
const MAX_LAGS = 500;

/** |r(m)| > 1.645·√((1 + 2·Σ r(i)²)/T), i = 1 … m − 1 (the `SeasonalityTest` of the M4 benchmarks). */
export function isSeasonal(whole: Float64Array, season: number): boolean {
  const past = whole.subarray(Math.max(0, whole.length - TESTED_SEASONS * season));
  let mean = 0;
  for (const value of past) mean += value;
  mean /= past.length;
  let variance = 0;
  for (const value of past) variance += (value - mean) ** 2;
  if (!(variance > 0)) return false;
  const correlation = (lag: number): number => {
    let sum = 0;
    for (let t = lag; t < past.length; t++) sum += (past[t]! - mean) * (past[t - lag]! - mean);
    return sum / variance;
  };
  let squares = 0;
  const stride = Math.max(1, Math.ceil((season - 1) / MAX_LAGS));
  for (let lag = 1; lag < season; lag += stride) squares += stride * correlation(lag) ** 2;
  return Math.abs(correlation(season)) > Z * Math.sqrt((1 + 2 * squares) / past.length);
}

/** Moving average over one season, centred (2×m for an even m); NaN for the half season at either end. */
function centredMean(past: Float64Array, season: number): Float64Array {
  const out = new Float64Array(past.length).fill(Number.NaN);
  const base = past[0]!;
  const sums = new Float64Array(past.length + 1);
  for (let t = 0; t < past.length; t++) sums[t + 1] = sums[t]! + (past[t]! - base);
  const mean = (from: number) => (sums[from + season]! - sums[from]!) / season;
  const half = season >> 1;
  for (let t = half; t + half < past.length; t++)
    out[t] = base + (season % 2 === 1 ? mean(t - half) : (mean(t - half) + mean(t - half + 1)) / 2);
  return out;
}

function phaseMeans(past: Float64Array, season: number, of: (value: number, t: number) => number): Float64Array {
  const sums = new Float64Array(season);
  const counts = new Float64Array(season);
  for (let t = 0; t < past.length; t++) {
    const value = of(past[t]!, t);
    if (!Number.isFinite(value)) continue;
    sums[t % season]! += value;
    counts[t % season]!++;
  }
  return sums.map((sum, phase) => sum / Math.max(1, counts[phase]!));
}
