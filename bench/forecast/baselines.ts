import type { Forecaster } from "./gift-eval.ts";
import { GIFT_EVAL_LEVELS } from "./metrics.ts";

/** The last value for ever, normal intervals that widen with the root of the step (Hyndman & Athanasopoulos, FPP3 §5.5). */
export const naive: Forecaster = (_series, past, horizon) => seasonal(past, horizon, 1);

/** The value one season before. */
export function seasonalNaive(season: number): Forecaster {
  return (_series, past, horizon) => seasonal(past, horizon, season);
}

function seasonal(past: Float64Array, horizon: number, season: number): Float64Array[] {
  let squares = 0;
  for (let t = season; t < past.length; t++) squares += (past[t]! - past[t - season]!) ** 2;
  const sigma = Math.sqrt(squares / (past.length - season));
  return GIFT_EVAL_LEVELS.map((level) =>
    Float64Array.from({ length: horizon }, (_, h) => {
      const seasons = Math.floor(h / season) + 1;
      return past[past.length - seasons * season + h]! + normalQuantile(level) * sigma * Math.sqrt(seasons);
    }),
  );
}

/** Quantile of the standard normal distribution, absolute error under 1e-8 within 0.1 … 0.9: Newton on an error function. */
function normalQuantile(level: number): number {
  let x = 0;
  for (let i = 0; i < 50; i++) {
    const step = (cumulative(x) - level) / (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI));
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
