import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { FEATURE_STEP_MS, STEPS_PER_DAY } from "../../control/features/schema.ts";
import { syntheticLoad } from "../../control/features/synthetic-load.ts";
import type { DemandForecast } from "../../control/forecast/forecast.ts";
import { type Forecaster, openForecaster } from "../../control/forecast/forecaster.ts";
import { LoadHistory } from "../../control/ingest/load-history.ts";
import { writeResults } from "../lib/results.ts";
import type { BenchOptions } from "../main.ts";
import { parityOf } from "./parity.ts";

const SERVICES = 10_000;
const FEW = 100;
/** The first steps are the past of every model's first call; each warm tick adds one of the rest. */
const PAST_STEPS = 26 * STEPS_PER_DAY;
/** Series that differ in shape; services differ from one another in size as well. */
const SHAPES = 20;
const MODELS = {
  demand: fileURLToPath(new URL("../../models/committed/demand", import.meta.url)),
  series: fileURLToPath(new URL("./series-model", import.meta.url)),
};
const BAR_MS = 1_000;
const BAR_HOLD_MS = 20;

interface Round {
  ms: number;
  heldMs: number;
  cpuMs: number;
}
interface Measured {
  name: string;
  cold: Round[];
  warm: Round[];
  few: Round[];
  parity: number;
  /** Largest difference between a warm answer and that of a model which was started for it, as a share of the forecast. */
  drift: number;
}

export async function run({ quick, words }: BenchOptions): Promise<object> {
  const rounds = quick ? 4 : 24;
  const folders = words[0] === undefined ? MODELS : { given: words[0] };
  const fleet = new Fleet(Object.keys(folders).length * rounds + 2);
  const measured: Measured[] = [];
  for (const [name, folder] of Object.entries(folders))
    measured.push(await measure(name, folder, fleet, rounds, quick));
  const lines: string[] = [];
  const print = (line: string): void => {
    console.log(line);
    lines.push(line);
  };
  print(
    `${SERVICES} services, ${PAST_STEPS / STEPS_PER_DAY} days of five-minute load each; milliseconds, features to guarded quantiles; ${rounds} warm ticks`,
  );
  print(
    `${"".padEnd(26)}${["median", "worst", "cpu", "held p50", "held max"].map((head) => head.padStart(9)).join("")}`,
  );
  for (const { name, cold, warm, few } of measured) {
    row(`${name}, cold first call`, cold, print);
    row(`${name}, warm tick`, warm, print);
    row(`${name}, ${FEW} services`, few, print);
  }
  for (const { name, parity, drift } of measured)
    print(
      `${name}: golden rows differ by at most ${parity.toExponential(1)}, a warm answer from a fresh one by ${drift.toExponential(1)} of it`,
    );
  const [demand, series] = measured;
  if (series !== undefined)
    print(
      `a warm tick of the series model takes ${(of(series.warm, "ms", 0.5) / of(demand!.warm, "ms", 0.5)).toFixed(2)} times the demand model's`,
    );
  for (const { name, warm } of measured) {
    const [ms, held] = [of(warm, "ms", 0.5), of(warm, "heldMs", 1)];
    print(
      `${name}: ${ms < BAR_MS ? "under" : "OVER"} ${BAR_MS} ms, the event loop held ${held <= BAR_HOLD_MS ? "no longer" : "LONGER"} than ${BAR_HOLD_MS} ms`,
    );
  }
  if (!quick && words.length === 0)
    await writeResults("inference", `What bench/inference/README.md says.\n\n\`\`\`\n${lines.join("\n")}\n\`\`\``);
  return {
    services: SERVICES,
    ...Object.fromEntries(
      measured.map(({ name, cold, warm, parity, drift }) => [
        name,
        {
          ms: round1(of(warm, "ms", 0.5)),
          ms_worst: round1(of(warm, "ms", 1)),
          ms_cold: round1(of(cold, "ms", 0.5)),
          cpu_ms: round1(of(warm, "cpuMs", 0.5)),
          cpu_ms_cold: round1(of(cold, "cpuMs", 0.5)),
          us_per_service: round1((of(warm, "ms", 0.5) / SERVICES) * 1000),
          loop_held_ms_p50: round1(of(warm, "heldMs", 0.5)),
          loop_held_ms_max: round1(of([...warm, ...cold], "heldMs", 1)),
          parity,
          drift,
        },
      ]),
    ),
  };
}

async function measure(
  name: string,
  modelDir: string,
  fleet: Fleet,
  rounds: number,
  quick: boolean,
): Promise<Measured> {
  const cold: Round[] = [];
  const warm: Round[] = [];
  const few: Round[] = [];
  let forecaster: Forecaster | null = null;
  try {
    for (let i = 0; i < (quick ? 1 : 3); i++) {
      forecaster?.close();
      forecaster = await open(modelDir);
      cold.push((await timed(forecaster, fleet, SERVICES)).round);
    }
    let last: ReadonlyMap<string, DemandForecast> = new Map();
    for (let i = 0; i < rounds; i++) {
      fleet.advance();
      const { round, forecasts } = await timed(forecaster!, fleet, SERVICES);
      warm.push(round);
      last = forecasts;
    }
    for (let i = 0; i < rounds; i++) few.push((await timed(forecaster!, fleet, FEW)).round);
    const fresh = await open(modelDir);
    const { forecasts } = await timed(fresh, fleet, FEW);
    fresh.close();
    return { name, cold, warm, few, parity: await parityOf(modelDir), drift: difference(forecasts, last) };
  } finally {
    forecaster?.close();
  }
}

async function open(modelDir: string): Promise<Forecaster> {
  const forecaster = await openForecaster({
    modelDir,
    expectedServices: SERVICES,
    log: { info: () => {}, warn: console.error },
  });
  const { reason } = forecaster.status();
  if (reason !== null)
    throw new Error(`${modelDir}: ${reason.code}: ${reason.text}; bench/inference/README.md says how it is trained`);
  return forecaster;
}

async function timed(forecaster: Forecaster, fleet: Fleet, services: number) {
  const names = fleet.history.services.slice(0, services);
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  // The first tick of the monitor measures from its own start.
  await new Promise((resolve) => setTimeout(resolve, 5));
  loop.reset();
  const cpu = process.cpuUsage();
  const from = performance.now();
  const forecasts = await forecaster.forecast(fleet.history, names, fleet.endMs);
  const ms = performance.now() - from;
  const { user, system } = process.cpuUsage(cpu);
  loop.disable();
  const others = [...forecasts.values()].filter(({ source }) => source !== "model");
  if (others.length > 0)
    throw new Error(
      `${others.length} of ${services} services were not answered by the model: ${others[0]?.fallbackReasons}`,
    );
  return { round: { ms, heldMs: loop.max / 1e6, cpuMs: (user + system) / 1000 }, forecasts };
}

class Fleet {
  readonly history = new LoadHistory({ stepMs: FEATURE_STEP_MS });
  readonly #shapes: readonly Float64Array[];
  readonly #startMs: number;
  #steps = PAST_STEPS;

  constructor(ticks: number) {
    const days = Math.ceil((PAST_STEPS + ticks) / STEPS_PER_DAY);
    const shapes = Array.from({ length: SHAPES }, (_, i) => syntheticLoad({ seed: i + 1, days }));
    this.#shapes = shapes.map(({ values }) => values);
    this.#startMs = shapes[0]!.startMs;
    console.error(`filling ${SERVICES} histories of ${PAST_STEPS} steps`);
    for (let s = 0; s < SERVICES; s++) for (let i = 0; i < PAST_STEPS; i++) this.#append(s, i);
  }

  get endMs(): number {
    return this.#startMs + this.#steps * FEATURE_STEP_MS;
  }

  /** A step closes for every service. */
  advance(): void {
    for (let s = 0; s < SERVICES; s++) this.#append(s, this.#steps);
    this.#steps++;
  }

  #append(s: number, i: number): void {
    const rps = this.#shapes[s % SHAPES]![i]! * (1 + s / SERVICES);
    this.history.append(`service-${s}`, this.#startMs + i * FEATURE_STEP_MS, rps);
  }
}

function difference(one: ReadonlyMap<string, DemandForecast>, other: ReadonlyMap<string, DemandForecast>): number {
  let most = 0;
  for (const [service, { values }] of one)
    for (const [level, steps] of values.rows().entries())
      for (const [h, value] of steps.entries()) {
        const said = other.get(service)!.values.at(level, h);
        most = Math.max(most, Math.abs(value - said) / Math.max(1e-9, Math.abs(value)));
      }
  return most;
}

function row(name: string, rows: readonly Round[], print: (line: string) => void): void {
  const cell = (key: keyof Round, q: number) => of(rows, key, q).toFixed(1).padStart(9);
  print(
    `${name.padEnd(26)}${cell("ms", 0.5)}${cell("ms", 1)}${cell("cpuMs", 0.5)}${cell("heldMs", 0.5)}${cell("heldMs", 1)}`,
  );
}

function of(rows: readonly Round[], key: keyof Round, q: number): number {
  const sorted = rows.map((round) => round[key]).sort((a, b) => a - b);
  return sorted[Math.round(q * (sorted.length - 1))]!;
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}
