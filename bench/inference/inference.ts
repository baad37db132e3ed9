import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { LoadHistory } from "../../control/features/load-history.ts";
import { FEATURE_STEP_MS } from "../../control/features/schema.ts";
import { syntheticLoad } from "../../control/features/synthetic-load.ts";
import { openForecaster } from "../../control/forecast/forecaster.ts";
import { writeResults } from "../lib/results.ts";
import type { BenchOptions } from "../main.ts";

const SERVICES = 10_000;
const DAYS = 16;
/** Series that differ in shape; services differ from one another in size as well. */
const SHAPES = 20;
const MODEL = fileURLToPath(new URL("../../models/committed/demand", import.meta.url));
const MS = 1e6;

interface Round {
  services: number;
  ms: number;
  loopMaxMs: number;
  cpuMs: number;
}

export async function run({ quick, words }: BenchOptions): Promise<object> {
  const modelDir = words[0] ?? MODEL;
  const rounds = quick ? 5 : 20;
  console.error(`filling ${SERVICES} histories of ${DAYS} days`);
  const { history, endMs } = fleet();
  const forecaster = await openForecaster({
    modelDir,
    expectedServices: SERVICES,
    log: { info: () => {}, warn: console.error },
  });
  const { reason, kind } = forecaster.status();
  if (reason !== null) throw new Error(`${reason.code}: ${reason.text}`);
  const names = history.services;
  const round = async (services: number): Promise<Round> => {
    const loop = monitorEventLoopDelay({ resolution: 1 });
    loop.enable();
    // The first tick of the monitor measures from its own start.
    await new Promise((resolve) => setTimeout(resolve, 5));
    loop.reset();
    const cpu = process.cpuUsage();
    const from = performance.now();
    const forecasts = await forecaster.forecast(history, names.slice(0, services), endMs);
    const ms = performance.now() - from;
    const { user, system } = process.cpuUsage(cpu);
    loop.disable();
    const others = [...forecasts.values()].filter(({ source }) => source !== "model").length;
    if (others > 0) throw new Error(`${others} of ${services} services were not answered by the model`);
    return { services, ms, loopMaxMs: loop.max / MS, cpuMs: (user + system) / 1000 };
  };
  try {
    const first = await round(SERVICES);
    const all: Round[] = [];
    const small: Round[] = [];
    for (let i = 0; i < rounds; i++) {
      all.push(await round(SERVICES));
      small.push(await round(100));
    }
    const lines: string[] = [];
    const print = (line: string): void => {
      console.log(line);
      lines.push(line);
    };
    const row = (name: string, rows: readonly Round[]): void => {
      const of = (key: "ms" | "loopMaxMs" | "cpuMs", q: number) => quantile(rows, key, q).toFixed(1).padStart(9);
      print(
        `${name.padEnd(24)}${of("ms", 0.5)}${of("ms", 1)}${of("cpuMs", 0.5)}${of("loopMaxMs", 0.5)}${of("loopMaxMs", 1)}`,
      );
    };
    print(`kind ${kind}; milliseconds; features and inference together, ${rounds} rounds`);
    print(`${"".padEnd(24)}${["median", "worst", "cpu", "held p50", "held max"].map((h) => h.padStart(9)).join("")}`);
    row(`${SERVICES}, first call`, [first]);
    row(`${SERVICES} services`, all);
    row("100 services", small);
    if (!quick && words.length === 0)
      await writeResults("inference", `What bench/inference/README.md says.\n\n\`\`\`\n${lines.join("\n")}\n\`\`\``);
    return {
      services: SERVICES,
      kind,
      ms: round1(quantile(all, "ms", 0.5)),
      ms_worst: round1(quantile(all, "ms", 1)),
      ms_first: round1(first.ms),
      cpu_ms: round1(quantile(all, "cpuMs", 0.5)),
      us_per_service: round1((quantile(all, "ms", 0.5) / SERVICES) * 1000),
      loop_held_ms_max: round1(quantile(all, "loopMaxMs", 1)),
      loop_held_ms_p50: round1(quantile(all, "loopMaxMs", 0.5)),
    };
  } finally {
    forecaster.close();
  }
}

function fleet(): { history: LoadHistory; endMs: number } {
  const shapes = Array.from({ length: SHAPES }, (_, i) => syntheticLoad({ seed: i + 1, days: DAYS }));
  const history = new LoadHistory({ stepMs: FEATURE_STEP_MS });
  const { startMs, values } = shapes[0]!;
  for (let s = 0; s < SERVICES; s++) {
    const shape = shapes[s % SHAPES]!;
    for (let i = 0; i < values.length; i++)
      history.append(`service-${s}`, startMs + i * FEATURE_STEP_MS, shape.values[i]! * (1 + s / SERVICES));
  }
  return { history, endMs: startMs + values.length * FEATURE_STEP_MS };
}

function quantile(rows: readonly Round[], key: "ms" | "loopMaxMs" | "cpuMs", q: number): number {
  const sorted = rows.map((row) => row[key]).sort((a, b) => a - b);
  return sorted[Math.round(q * (sorted.length - 1))]!;
}

function round1(value: number): number {
  return Math.round(value * 10) / 10;
}
