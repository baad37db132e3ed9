import type { CapacityReading, Objective } from "../../control/capacity/estimator.ts";
import { SeededRandom } from "../../control/features/seeded-random.ts";

/** A target with a known capacity: `workers` servers behind one queue, watched every ten seconds. */
export interface Scenario {
  name: string;
  days: number;
  workers: number;
  /** Mean time to answer a request alone, ms. */
  serviceMs: number;
  objective: Objective;
  /** Part of the capacity that the daily peak reaches. */
  peak: number;
  /** Speed of the workers over time, 1 = as at the start; `part` runs from 0 to 1. */
  speed: (part: number) => number;
  /** Share of readings that are slow for a reason that is not load (a deployment, a slow disk). */
  outliers: number;
}

export interface Watched extends CapacityReading {
  /** Load at which the p99 of this very moment meets the objective: the truth. */
  truthRps: number;
}

export const READING_S = 10;
const DAY_MS = 86_400_000;

/** Readings of one scenario in order of time; the same seed gives the same. Every sixth is kept, so that runs stay short. */
export function watch(scenario: Scenario, seed: number): Watched[] {
  const random = new SeededRandom(seed);
  const readings: Watched[] = [];
  const stepMs = 60_000;
  const first = capacityAt(scenario, 1);
  let drift = 0;
  for (let t = 0; t < scenario.days * DAY_MS; t += stepMs) {
    const speed = scenario.speed(t / (scenario.days * DAY_MS));
    const truthRps = capacityAt(scenario, speed);
    drift = 0.98 * drift + 0.03 * random.normal();
    const day = 0.55 - 0.45 * Math.cos((2 * Math.PI * t) / DAY_MS);
    const rps = Math.max(1, scenario.peak * first * day * Math.exp(drift));
    const clean = p99(scenario, speed, rps) * Math.exp(0.15 * random.normal());
    const slow = random.next() < scenario.outliers;
    const latencyMs = slow ? clean * random.uniform(3, 20) : clean;
    // An overloaded server sheds what it cannot answer.
    const top = (scenario.workers * speed * 1000) / scenario.serviceMs;
    const errorShare = Math.max(0, 1 - (0.98 * top) / rps);
    readings.push({ atMs: t, seconds: READING_S, rps, latencyMs, errorShare, truthRps });
  }
  return readings;
}

/** p99 of the response time of M/M/c, ms: the waiting time's tail is Erlang C · exp(−(cμ − λ)t); service is taken at its own p99. */
export function p99({ workers, serviceMs }: Scenario, speed: number, rps: number): number {
  const mu = speed / serviceMs;
  const lambda = rps / 1000;
  const alone = Math.log(100) / mu;
  const load = lambda / (workers * mu);
  if (load >= 0.98) return alone + 60_000;
  const wait = Math.log(Math.max(1, 100 * erlangC(workers, lambda / mu))) / (workers * mu - lambda);
  return alone + wait;
}

function erlangC(workers: number, offered: number): number {
  let b = 1;
  for (let k = 1; k <= workers; k++) b = (offered * b) / (k + offered * b);
  const load = offered / workers;
  return b / (1 - load * (1 - b));
}

/** By bisection, since p99 rises with load. */
function capacityAt(scenario: Scenario, speed: number): number {
  let [low, high] = [0, (scenario.workers * speed * 1000) / scenario.serviceMs];
  for (let turn = 0; turn < 40; turn++) {
    const middle = (low + high) / 2;
    if (p99(scenario, speed, middle) > scenario.objective.latencyMs) high = middle;
    else low = middle;
  }
  return low;
}
