import { processCpuNs } from "../lib/proc-cpu.ts";
import { seededRandom, shuffled } from "../lib/random.ts";
import { bootstrapInterval, type Interval, median, type Quartiles, quartiles } from "../lib/stats.ts";
import type { Mode } from "./listener.ts";
import { PARALLEL, type Rig } from "./rig.ts";
import type { Row } from "./rows.ts";

/** One unmeasured request for so many measured ones. */
const WARM_SHARE = 5;

/** µs of CPU per request, one figure per row and round. `service` is what an ext_proc service used besides Envoy. */
export interface CpuSamples {
  envoy: Map<string, number[]>;
  service: Map<string, number[]>;
}

export interface CpuPlan {
  rounds: number;
  /** Requests per row and round. */
  count: number;
  seed: number;
}

/**
 * Closed rounds: in each, every row once in a new shuffled order with the same number of requests; Envoy's CPU time is read right
 * before and after. Short rounds, many of them: a shared machine's speed drifts by a third within seconds, and what a round compares should
 * lie close together. A few unmeasured requests first, so that no row pays for the caches its predecessor left.
 */
export async function measureCpu(
  rig: Rig,
  rows: readonly Row[],
  mode: Mode,
  plan: CpuPlan,
  into: CpuSamples,
): Promise<void> {
  const random = seededRandom(plan.seed);
  for (let round = 0; round < plan.rounds; round++) {
    for (const row of shuffled(rows, random)) {
      const port = rig.port(row, mode);
      const first = Math.floor(random() * 1024);
      await rig.load.closed({ port, count: Math.ceil(plan.count / WARM_SHARE), parallel: PARALLEL, first });
      const before = processCpuNs(rig.envoy.child.pid);
      const serviceBefore = row.needs === "ext_proc" && rig.extProc ? processCpuNs(rig.extProc.pid) : 0;
      const result = await rig.load.closed({ port, count: plan.count, parallel: PARALLEL, first });
      const used = processCpuNs(rig.envoy.child.pid) - before;
      if (result.bad > 0) throw new Error(`${row.name} ${mode}: ${result.bad} of ${plan.count} answers were not 200`);
      push(into.envoy, row.name, used / plan.count / 1000);
      if (row.needs === "ext_proc" && rig.extProc)
        push(into.service, row.name, (processCpuNs(rig.extProc.pid) - serviceBefore) / plan.count / 1000);
    }
  }
}

function push(map: Map<string, number[]>, key: string, value: number): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

export interface CpuFigure {
  row: Row;
  us: Quartiles;
  /** Against the baseline row of the same round: what the row adds, and the ratio. */
  addedUs: number;
  addedInterval: Interval;
  ratio: number;
}

/** Figures in order of cost. Differences are taken within a round, so that drift of the machine falls out. */
export function cpuFigures(rows: readonly Row[], samples: Map<string, number[]>, baseline: string): CpuFigure[] {
  const base = samples.get(baseline);
  if (base === undefined) throw new Error(`no baseline ${baseline}`);
  return rows
    .flatMap((row): CpuFigure[] => {
      const values = samples.get(row.name);
      if (values === undefined) return [];
      const added = values.map((value, round) => value - (base[round] as number));
      const addedInterval = bootstrapInterval(added, median);
      const ratio = median(values.map((value, round) => value / (base[round] as number)));
      return [{ row, us: quartiles(values), addedUs: median(added), addedInterval, ratio }];
    })
    .sort((a, b) => a.addedUs - b.addedUs);
}

/**
 * The rows that do the whole job (service from a header, session by cookie), cheapest first, by the rounds of one Envoy process: an
 * order that differs between processes is no result.
 */
export function peerOrder(
  rows: readonly Row[],
  samples: Map<string, number[]>,
  baseline: string,
  rounds: { from: number; count: number },
): string[] {
  const part = new Map(
    [...samples].map(([name, values]) => [name, values.slice(rounds.from, rounds.from + rounds.count)]),
  );
  return cpuFigures(rows, part, baseline)
    .filter(({ row }) => row.job?.service === "header" && row.job.session)
    .map(({ row }) => row.name);
}
