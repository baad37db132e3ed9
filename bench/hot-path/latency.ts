import { seededRandom, shuffled } from "../lib/random.ts";
import { bootstrapInterval, type Interval, median } from "../lib/stats.ts";
import { PARALLEL, type Rig } from "./rig.ts";
import type { Row } from "./rows.ts";

export interface LatencySamples {
  p50: Map<string, number[]>;
  p99: Map<string, number[]>;
}

export interface LatencyPlan {
  rounds: number;
  seconds: number;
  /** Requests per second, one figure for all rows or one per row. */
  rate: number | ((row: Row) => number);
  seed: number;
  /** No round but the first begins after this reading of `performance.now()`. */
  endMs: number;
}

/**
 * Open-loop rounds with Poisson arrivals: in each, every row once in shuffled order with the same arrival times. Latency counts from
 * the scheduled time. Quantiles are per round; the first tenth of a second of a row is a separate run that is thrown away.
 */
export async function measureLatency(
  rig: Rig,
  rows: readonly Row[],
  plan: LatencyPlan,
  into: LatencySamples,
): Promise<void> {
  const random = seededRandom(plan.seed);
  for (let round = 0; round < plan.rounds; round++) {
    if (round > 0 && performance.now() > plan.endMs) return;
    for (const row of shuffled(rows, random)) {
      const rate = typeof plan.rate === "number" ? plan.rate : plan.rate(row);
      const port = rig.port(row, "forward");
      const seed = plan.seed * 1000 + round;
      // The ext_proc service shares the core with the generator: spinning would starve it.
      const spin = row.needs !== "ext_proc";
      await rig.load.open({ port, count: Math.ceil(rate / 10), rate, seed: seed + 1, spin });
      const result = await rig.load.open({ port, count: Math.ceil(rate * plan.seconds), rate, seed, spin });
      if (result.bad > 0) throw new Error(`${row.name}: ${result.bad} of ${result.done} answers were not 200`);
      push(into.p50, row.name, result.p50_us);
      push(into.p99, row.name, result.p99_us);
    }
  }
}

function push(map: Map<string, number[]>, key: string, value: number): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

/** Requests per second at which one worker is busy all the time: median of short closed runs. */
export async function capacity(rig: Rig, row: Row, options: { runs: number; count: number }): Promise<number> {
  const rates: number[] = [];
  for (let i = 0; i < options.runs; i++) {
    const result = await rig.load.closed({
      port: rig.port(row, "forward"),
      count: options.count,
      parallel: 4 * PARALLEL,
    });
    rates.push(result.done / result.seconds);
  }
  return median(rates);
}

export interface Ratio {
  value: number;
  interval: Interval;
}

/** Median over rounds of a row's p99 to the base row's in the same round, with a bootstrap interval over rounds. */
export function p99Ratio(samples: LatencySamples, row: string, base: string): Ratio {
  const values = samples.p99.get(row);
  const bases = samples.p99.get(base);
  if (values === undefined || bases === undefined) throw new Error(`no p99 of ${row} or ${base}`);
  const ratios = values.map((value, round) => value / (bases[round] as number));
  return { value: median(ratios), interval: bootstrapInterval(ratios, median) };
}
