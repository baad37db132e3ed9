import type { Baseline } from "./baseline.ts";
import { minimise } from "./minimise.ts";

interface Parameters {
  alpha: number;
  beta: number;
  gamma: number;
  phi: number;
}
interface States {
  level: Float64Array;
  trend: Float64Array;
  /** Of a step's phase after that step. */
  season: Float64Array;
}

/** Rounds of coordinate descent; a third one changes the error by less than a part in a thousand. */
const ROUNDS = 2;
/** Newest steps that parameters are sought on, four seasons at least: more change them by nothing and cost minutes on a million. */
const MAX_FITTED = 131_072;
const START: Parameters = { alpha: 0.3, beta: 0.05, gamma: 0.1, phi: 0.98 };

/**
 * Holt–Winters' additive method with a damped trend in its error-correction form (FPP3 §8.3, ETS(A,Ad,A)):
 *   e = y(t) − ℓ(t−1) − φ·b(t−1) − s(t−m), ℓ(t) = ℓ(t−1) + φ·b(t−1) + α·e, b(t) = φ·b(t−1) + α·β·e, s(t) = s(t−m) + γ·(1 − α)·e
 * from the means of the first two seasons; parameters by the least sum of absolute one-step errors.
 */
export const holtWinters: Baseline = {
  name: "Holt-Winters",
  least: ({ season }) => 2 * season + 1,
  fit: (past, { season, horizon }) => fitted(past, season, horizon),
};

/** The same of the logarithms, where the season and the trend are shares of the level; as it is where a value is not above nought. */
export const holtWintersOfLogs: Baseline = {
  name: "Holt-Winters of logs",
  least: ({ season }) => 2 * season + 1,
  fit(past, { season, horizon }) {
    if (!past.every((value) => value > 0)) return fitted(past, season, horizon);
    const { from, at } = fitted(past.map(Math.log), season, horizon);
    return { from, at: (origin, ahead) => Math.exp(at(origin, ahead)) };
  },
};

function fitted(values: Float64Array, season: number, horizon: number) {
  let best = START;
  const newest = values.subarray(Math.max(0, values.length - Math.max(MAX_FITTED, 4 * season)));
  for (let round = 0; round < ROUNDS; round++) {
    best = { ...best, alpha: minimise((alpha) => run(newest, season, { ...best, alpha }), 0.01, 0.99, 6, 8) };
    best = { ...best, beta: minimise((beta) => run(newest, season, { ...best, beta }), 0, 0.6, 5, 6) };
    best = { ...best, gamma: minimise((gamma) => run(newest, season, { ...best, gamma }), 0, 0.9, 6, 8) };
    best = { ...best, phi: minimise((phi) => run(newest, season, { ...best, phi }), 0.8, 1, 4, 6) };
  }
  const empty = () => new Float64Array(values.length);
  const states: States = { level: empty(), trend: empty(), season: empty() };
  run(values, season, best, states);
  const reach = new Float64Array(horizon + 1);
  for (let h = 1; h <= horizon; h++) reach[h] = reach[h - 1]! + best.phi ** h;
  return {
    from: season + 1,
    at: (origin: number, ahead: number) =>
      states.level[origin - 1]! +
      reach[ahead]! * states.trend[origin - 1]! +
      states.season[origin + ahead - 1 - season * Math.ceil(ahead / season)]!,
  };
}

/** Sum of absolute one-step errors behind the first season; leaves the states after each step where they are asked for. */
function run(values: Float64Array, season: number, { alpha, beta, gamma, phi }: Parameters, states?: States): number {
  const indices = states?.season ?? new Float64Array(values.length);
  let [first, second] = [0, 0];
  for (let t = 0; t < season; t++) {
    first += values[t]! / season;
    second += values[t + season]! / season;
  }
  let trend = (second - first) / season;
  const middle = (season - 1) / 2;
  for (let t = 0; t < season; t++) indices[t] = values[t]! - first - (t - middle) * trend;
  let level = first + middle * trend;
  let sum = 0;
  for (let t = season; t < values.length; t++) {
    const said = level + phi * trend;
    const error = values[t]! - said - indices[t - season]!;
    sum += Math.abs(error);
    level = said + alpha * error;
    trend = phi * trend + alpha * beta * error;
    indices[t] = indices[t - season]! + gamma * (1 - alpha) * error;
    if (states !== undefined) {
      states.level[t] = level;
      states.trend[t] = trend;
    }
  }
  return sum;
}
