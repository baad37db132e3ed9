import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BallastError } from "../../common/errors.ts";
import { estimateText } from "../../control/capacity/capacity-book.ts";
import { CapacityEstimator } from "../../control/capacity/estimator.ts";
import { ROOT } from "../lib/native-build.ts";
import { formatTable } from "../lib/table.ts";

const FOLDER = "nezha/ob-2022-08-22";
/** No objective is published with the data: so many times the median p99 of the pod stands for one. */
const OBJECTIVE_FACTOR = 3;

/**
 * The pods of Nezha (Online Boutique, a reading a minute). Their true capacity is not known and their load is flat, so there is nothing
 * to be right about: the table shows what the estimator claims from the first four fifths, and how often the objective held at loads up to
 * that claim in the last one. The adservice pod is left out: its times are damaged.
 */
export function realTargets(): string[] {
  const folder = join(process.env.BALLAST_SHARED_DATA ?? join(ROOT, "../shared/data"), FOLDER);
  if (!existsSync(folder)) {
    if (process.env.CI) throw new BallastError("BENCH_DATA", `${folder} is not there`);
    return [`Nezha: left out, ${folder} is not there.`];
  }
  const files = readdirSync(folder).filter((name) => name.endsWith("_metric.csv") && !name.startsWith("adservice"));
  const rows = files.map((name) => {
    const readings = read(readFileSync(join(folder, name), "utf8"));
    const limit = OBJECTIVE_FACTOR * median(readings.map((one) => one.latencyMs));
    const estimator = new CapacityEstimator({ latencyMs: limit, errorShare: 0.01 });
    const cut = Math.floor(readings.length * 0.8);
    for (const one of readings.slice(0, cut)) estimator.observe({ ...one, seconds: 60, errorShare: null });
    const estimate = estimator.estimate(readings[cut - 1]!.atMs);
    const later = readings.slice(cut).filter((one) => estimate !== null && one.rps <= estimate.rps);
    const held = later.filter((one) => one.latencyMs <= limit).length;
    const share = later.length === 0 ? "–" : `${((100 * held) / later.length).toFixed(1)} % of ${later.length} min`;
    return [name.split("-")[0]!, estimate === null ? "too little load" : estimateText(estimate), share];
  });
  return [
    `Nezha pods, objective ${OBJECTIVE_FACTOR} times the pod's median p99 (no truth is known, the load is flat):`,
    "",
    formatTable(["pod", "learnt from the first four fifths", "held later, up to that load"], rows),
  ];
}

function read(csv: string): { atMs: number; rps: number; latencyMs: number }[] {
  const [head, ...lines] = csv.split(/\r?\n/).filter((line) => line !== "");
  const names = head!.split(",");
  const column = (name: string): number => {
    const index = names.indexOf(name);
    if (index < 0) throw new BallastError("BENCH_DATA", `no column ${name}`);
    return index;
  };
  const [time, load, p99] = [column("TimeStamp"), column("PodWorkload(Ops)"), column("PodServerLatencyP99(s)")];
  return lines.flatMap((line) => {
    const cells = line.split(",");
    const one = { atMs: Number(cells[time]) * 1000, rps: Number(cells[load]), latencyMs: Number(cells[p99]) * 1000 };
    return Number.isFinite(one.atMs + one.rps + one.latencyMs) && one.rps > 0 ? [one] : [];
  });
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
