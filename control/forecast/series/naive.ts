/*
 * The two forecasts that every other is measured against, with normal intervals whose variance is that of their own past errors and grows
 * with the number of seasons ahead (Hyndman & Athanasopoulos, FPP3 §5.5). Values are [level][step].
 */

/** The last value for ever. */
export function naive(past: Float64Array, horizon: number, levels: readonly number[]): Float64Array[] {
  return seasonalNaive(past, horizon, levels, 1);
}

/** The value one season before. Throws without a whole season and one step of past. */
export function seasonalNaive(
  past: Float64Array,
  horizon: number,
  levels: readonly number[],
  season: number,
): Float64Array[] {
  if (past.length <= season) throw new Error(`a past of ${past.length} has no season of ${season}`);
  let squares = 0;
  for (let t = season; t < past.length; t++) squares += (past[t]! - past[t - season]!) ** 2;
  const sigma = Math.sqrt(squares / (past.length - season));
  return levels.map((level) => {
    const z = normalQuantile(level);
    return Float64Array.from({ length: horizon }, (_, h) => {
      const seasons = Math.floor(h / season) + 1;
      return past[past.length - seasons * season + h]! + z * sigma * Math.sqrt(seasons);
    });
  });
}

/** Quantile of the standard normal distribution, absolute error under 1e-8 within 0.001 … 0.999: Newton on an error function. */
function normalQuantile(level: number): number {
  let x = 0;
  for (let i = 0; i < 50; i++) {
    const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
    // A step of at most one keeps the tails from overshooting.
    const step = Math.max(-1, Math.min(1, (cumulative(x) - level) / density));
    x -= step;
    if (Math.abs(step) < 1e-12) break;
  }
  return x;
}

/** Φ by its series Φ(x) = ½ + φ(x)·Σ x^(2k+1)/(2k+1)!! (Marsaglia 2004). */
function cumulative(x: number): number {
  let term = x;
  let sum = x;
  for (let k = 3; k < 200; k += 2) {
    term *= (x * x) / k;
    sum += term;
    if (Math.abs(term) < 1e-16) break;
  }
  return 0.5 + (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
}
