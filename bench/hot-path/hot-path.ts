import type { BenchControl } from "../lib/control-server.ts";
import { describeMachine, envoyVersion, loadAverage } from "../lib/machine.ts";
import { writeResults } from "../lib/results.ts";
import type { BenchOptions } from "../main.ts";
import { checkRow } from "./check.ts";
import { type CpuSamples, cpuFigures, measureCpu, peerOrder } from "./cpu.ts";
import { capacity, type LatencySamples, measureLatency, p99Ratio } from "./latency.ts";
import type { Mode } from "./listener.ts";
import { MODES, prepare, progress } from "./parts.ts";
import { report } from "./report.ts";
import { pinSelf, type RigParts, startRig } from "./rig.ts";
import type { Row } from "./rows.ts";

const BASELINE = "none";
/** Rows whose p99 near saturation is compared. */
const BUSY_ROWS = ["native", "lua", "ballast"];
const BUSY_SHARE = 0.7;

/** Every phase runs in each of `processes` fresh Envoys, so that the luck of one memory layout averages out. */
const FULL = {
  processes: 3,
  cpuRounds: 60,
  direct: 400,
  forward: 200,
  fixedRounds: 3,
  fixedSeconds: 0.25,
  busyRounds: 24,
  busySeconds: 0.3,
  limitSeconds: Number.POSITIVE_INFINITY,
};
const QUICK = {
  processes: 1,
  cpuRounds: 40,
  direct: 300,
  forward: 150,
  fixedRounds: 2,
  fixedSeconds: 0.25,
  busyRounds: 10,
  busySeconds: 0.2,
  /** Latency rounds that would begin later than this are left out: on a busy machine an open-loop run takes longer. */
  limitSeconds: 40,
};
/** Requests per second of the fixed-rate rounds: a third of what one worker can do on the machine this was written on. */
const FIXED_RATE = 3000;

export async function run(options: BenchOptions): Promise<object> {
  const plan = options.quick ? QUICK : FULL;
  const { parts, skipped, control } = await prepare(options);
  try {
    return await measure(options, plan, parts, skipped, control);
  } finally {
    await control?.stop();
  }
}

async function measure(
  options: BenchOptions,
  plan: typeof FULL,
  parts: RigParts,
  skipped: Record<string, string>,
  control: BenchControl | undefined,
): Promise<object> {
  const { rows } = parts;
  const cpu: Record<Mode, CpuSamples> = { direct: emptyCpu(), forward: emptyCpu() };
  const fixed: LatencySamples = { p50: new Map(), p99: new Map() };
  const equalRate: LatencySamples = { p50: new Map(), p99: new Map() };
  const equalLoad: LatencySamples = { p50: new Map(), p99: new Map() };
  const forward = rows.filter((row) => row.modes.includes("forward"));
  const busy = forward.filter((row) => BUSY_ROWS.includes(row.name) && (!options.quick || row.name !== "lua"));
  const capacities = new Map<string, number[]>();

  const endMs = 1000 * plan.limitSeconds; // on the clock of this process, which began with it

  pinSelf();
  for (let process = 0; process < plan.processes; process++) {
    const rig = await startRig(parts);
    try {
      await control?.joined(rows.filter((row) => row.needs === "ballast").length);
      for (const row of rows) await checkRow(rig, row);
      for (const mode of MODES) {
        const able = rows.filter((row) => row.modes.includes(mode));
        await measureCpu(rig, able, mode, { rounds: plan.cpuRounds, count: plan[mode], seed: process + 1 }, cpu[mode]);
      }
      progress(`process ${process + 1} of ${plan.processes}: CPU done`);
      if (options.args.includes("--cpu-only")) continue;
      const limit = new Map<string, number>();
      for (const row of busy) {
        const perSecond = await capacity(rig, row, { runs: 3, count: 2000 });
        limit.set(row.name, perSecond);
        capacities.set(row.name, [...(capacities.get(row.name) ?? []), perSecond]);
      }
      const nativeRate = BUSY_SHARE * (limit.get("native") as number);
      const busyPlan = { rounds: plan.busyRounds, seconds: plan.busySeconds, seed: process + 101, endMs };
      await measureLatency(rig, busy, { ...busyPlan, rate: nativeRate }, equalRate);
      const own = (row: Row): number => BUSY_SHARE * (limit.get(row.name) as number);
      await measureLatency(rig, busy, { ...busyPlan, rate: own }, equalLoad);
      await measureLatency(
        rig,
        forward,
        { rounds: plan.fixedRounds, seconds: plan.fixedSeconds, rate: FIXED_RATE, seed: process + 1, endMs },
        fixed,
      );
      progress(`process ${process + 1} of ${plan.processes}: latency done`);
    } finally {
      await rig.stop();
    }
  }

  const figures = {
    direct: cpuFigures(rows, cpu.direct.envoy, BASELINE),
    forward: cpuFigures(rows, cpu.forward.envoy, BASELINE),
  };
  const orders = Array.from({ length: plan.processes }, (_, process) =>
    peerOrder(rows, cpu.direct.envoy, BASELINE, { from: process * plan.cpuRounds, count: plan.cpuRounds }),
  );
  const text = report({
    figures,
    orders,
    service: cpu.forward.service,
    fixed,
    fixedRate: FIXED_RATE,
    equalRate,
    equalLoad,
    busy: busy.map((row) => row.name),
    capacities,
    skipped,
    plan: { ...plan, busyShare: BUSY_SHARE },
    versions: `Envoy ${envoyVersion(parts.envoyBinary)}; ${describeMachine()}; load average at the end ${loadAverage()}`,
  });
  console.log(text);
  if (!options.quick && options.words.length === 0 && equalLoad.p99.size > 0) await writeResults("hot-path", text);

  const perRequest = (mode: Mode): Record<string, number> =>
    Object.fromEntries(figures[mode].map(({ row, us }) => [row.name, round(us.median)]));
  const added = (mode: Mode): Record<string, number> =>
    Object.fromEntries(figures[mode].map(({ row, addedUs }) => [row.name, round(addedUs)]));
  const compared = "ballast";
  const p99 = (samples: LatencySamples): { ratio: number; interval: number[] } | null => {
    if (!samples.p99.has(compared)) return null;
    const { value, interval } = p99Ratio(samples, compared, "native");
    return { ratio: round(value, 3), interval: [round(interval.low, 3), round(interval.high, 3)] };
  };
  return {
    cpu_us_per_request: perRequest("forward"),
    cpu_us_added: added("forward"),
    cpu_us_per_request_direct: perRequest("direct"),
    cpu_us_added_direct: added("direct"),
    // Both rows 70 % busy; then both given as many requests as make native 70 % busy.
    p99_ratio_to_native: p99(equalLoad)?.ratio ?? null,
    p99_ratio_interval: p99(equalLoad)?.interval ?? null,
    p99_ratio_at_equal_rate: p99(equalRate),
    order_direct: orders,
    quick: options.quick,
    skipped,
  };
}

function emptyCpu(): CpuSamples {
  return { envoy: new Map(), service: new Map() };
}

function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}
