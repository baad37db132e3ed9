import { pinSelf } from "../hot-path/rig.ts";
import { seededRandom, shuffled } from "../lib/random.ts";
import { quantile } from "../lib/stats.ts";
import { TARGET_NAMES } from "./switch-load.ts";
import { type Pusher, type SwitchRig, startSwitchRig } from "./switch-rig.ts";

/** One push seen from outside. Milliseconds after the push began. */
export interface SwitchRound {
  stageMs: number | null;
  ackMs: number;
  firstMs: number;
  lastMs: number;
  /** How wide the span was, at most over the workers, in which the switch was not seen: what `firstMs` and `lastMs` may be too large by. */
  blindMs: number;
  answers: number;
  bad: number;
  /** Old answers to requests sent after a new one, on the same worker. */
  back: number;
}

export interface SwitchRow {
  workers: number;
  services: number;
  ballast: SwitchRound[];
  rds: SwitchRound[];
}

export interface SwitchFigures {
  rows: SwitchRow[];
  requestsPerSecond: number;
}

interface Plan {
  workers: number;
  services: number;
  rounds: number;
}

const SERVICES = [1, 100, 1_000];
const WORKERS = [1, 2, 4];
/** The size with a figure to reach. */
const NAMED = { workers: 4, services: 100 };
const PER_TICK = 4;
const WARM_MS = 60;
const AFTER_MS = 20;
const TIMEOUT_MS = 20_000;

export async function measureSwitches(options: {
  quick: boolean;
  progress: (text: string) => void;
}): Promise<SwitchFigures> {
  pinSelf();
  const plans: Plan[] = options.quick
    ? [
        { ...NAMED, rounds: 40 },
        { workers: 1, services: 100, rounds: 12 },
        { workers: 2, services: 100, rounds: 12 },
        { workers: 4, services: 1_000, rounds: 12 },
      ]
    : WORKERS.flatMap((workers) =>
        SERVICES.map((services) => ({
          workers,
          services,
          rounds: workers === NAMED.workers && services === NAMED.services ? 200 : 60,
        })),
      );
  const rows: SwitchRow[] = [];
  for (const plan of plans) {
    options.progress(`${plan.workers} workers, ${plan.services} services`);
    rows.push(await measureRow(plan));
  }
  return { rows, requestsPerSecond: PER_TICK * 1_000 };
}

async function measureRow({ workers, services, rounds }: Plan): Promise<SwitchRow> {
  const row: SwitchRow = { workers, services, ballast: [], rds: [] };
  const random = seededRandom(workers * 10_000 + services);
  const rig = await startSwitchRig({ workers, services });
  try {
    const serving = { ballast: 0, rds: 0 };
    // One round more than counted: the first finds connections to one upstream not yet open.
    for (let round = -1; round < rounds; round++) {
      for (const pusher of shuffled(rig.pushers, random)) {
        const from = serving[pusher.name];
        serving[pusher.name] = 1 - from;
        const seen = await oneSwitch(rig, pusher, TARGET_NAMES[from] as string, TARGET_NAMES[1 - from] as string);
        if (round >= 0) row[pusher.name].push(seen);
      }
    }
  } finally {
    await rig.stop();
  }
  return row;
}

async function oneSwitch({ load }: SwitchRig, pusher: Pusher, from: string, to: string): Promise<SwitchRound> {
  const running = await load.ask<"running">({
    do: "begin",
    group: pusher.name,
    perTick: PER_TICK,
    from,
    warmMs: WARM_MS,
  });
  if (running.answers === 0) throw new Error(`${pusher.name}: no answers`);
  const stageMs = await pusher.prepare(to);
  const { startedMs, ackMs } = await pusher.push();
  const seen = await load.ask<"switched">({ do: "finish", afterMs: AFTER_MS, timeoutMs: TIMEOUT_MS });
  const after = seen.workers.map(({ firstNewMs }) => firstNewMs - startedMs);
  return {
    stageMs,
    ackMs,
    firstMs: Math.min(...after),
    lastMs: Math.max(...after),
    blindMs: Math.max(...seen.workers.map(({ firstNewMs, lastOldMs }) => firstNewMs - lastOldMs)),
    answers: seen.answers,
    bad: seen.bad,
    back: seen.workers.reduce((sum, { back }) => sum + back, 0),
  };
}

const both = (values: readonly number[]): { p50: number; p99: number } => ({
  p50: Number(quantile(values, 0.5).toFixed(2)),
  p99: Number(quantile(values, 0.99).toFixed(2)),
});

/** What goes behind RESULT: the size with a figure to reach, and all sizes beside it. */
export function switchResult({ rows }: SwitchFigures): object {
  const figures = ({ workers, services, ballast, rds }: SwitchRow) => ({
    services,
    workers,
    first_ms: both(ballast.map(({ firstMs }) => firstMs)),
    last_ms: both(ballast.map(({ lastMs }) => lastMs)),
    rds_last_ms: both(rds.map(({ lastMs }) => lastMs)),
  });
  const named = rows.find(({ workers, services }) => workers === NAMED.workers && services === NAMED.services);
  if (named === undefined) throw new Error("the named size was not measured");
  return { ...figures(named), sizes: rows.filter((row) => row !== named).map(figures) };
}
