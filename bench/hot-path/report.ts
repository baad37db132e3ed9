import { median, type Quartiles } from "../lib/stats.ts";
import { formatTable } from "../lib/table.ts";
import type { CpuFigure } from "./cpu.ts";
import { type LatencySamples, p99Ratio } from "./latency.ts";
import type { Mode } from "./listener.ts";

export interface HotPathReport {
  figures: Record<Mode, readonly CpuFigure[]>;
  /** Peers of the whole job by cost, per Envoy process. */
  orders: readonly (readonly string[])[];
  service: Map<string, number[]>;
  fixed: LatencySamples;
  fixedRate: number;
  equalRate: LatencySamples;
  equalLoad: LatencySamples;
  busy: readonly string[];
  capacities: Map<string, number[]>;
  skipped: Record<string, string>;
  plan: {
    processes: number;
    cpuRounds: number;
    direct: number;
    forward: number;
    fixedRounds: number;
    busyRounds: number;
    busyShare: number;
  };
  versions: string;
}

/** The section of RESULTS.md; printed as it is. */
export function report(results: HotPathReport): string {
  const { plan } = results;
  const rounds = plan.processes * plan.cpuRounds;
  const parts = [
    results.versions,
    `Envoy with one worker alone on one core, load generator, upstreams and the ext_proc service on the other. ${rounds} closed rounds in ${plan.processes} Envoy process(es), rows shuffled within a round, ${plan.forward} (forwarding) and ${plan.direct} (direct response) requests per row and round, CPU of the whole Envoy process from schedstat. "added" is the median over rounds of the difference to \`none\` in the same round, with its 95 % bootstrap interval.`,
    "### CPU per request, forwarding to an upstream",
    cpuTable(results.figures.forward),
    ...[...results.service].map(
      ([name, values]) =>
        `\`${name}\`: its service uses another ${us(median(values))} µs per request, not counted above.`,
    ),
    "### CPU per request, direct response",
    cpuTable(results.figures.direct),
    orderText(results.orders),
    ...latencyParts(results),
    ...Object.entries(results.skipped).map(([name, why]) => `Not measured: \`${name}\` (${why}).`),
  ];
  return parts.join("\n\n");
}

function latencyParts(results: HotPathReport): string[] {
  const { plan } = results;
  if (results.equalLoad.p99.size === 0) return [];
  return [
    `### Latency in µs at ${results.fixedRate} requests per second (open loop, Poisson arrivals, from the scheduled time)`,
    fixedTable(results),
    `### p99 near saturation, beside native`,
    `Equal rate: ${plan.busyShare * 100} % of what one worker does with native weights. Equal load: ${plan.busyShare * 100} % of what it does with the row itself.`,
    busyTable(results),
  ];
}

function orderText(orders: HotPathReport["orders"]): string {
  const lines = [...new Set(orders.map((order) => order.join(" < ")))];
  if (orders.length > 1 && lines.length === 1)
    return `The order of the peers that do the whole job was the same in each of the ${orders.length} Envoy processes: ${lines[0]}.`;
  return `The order of the peers that do the whole job, per Envoy process: ${lines.join("; ")}.`;
}

function cpuTable(figures: readonly CpuFigure[]): string {
  const lua = figures.find(({ row }) => row.name === "lua")?.addedUs;
  return formatTable(
    ["row", "µs", "quartiles", "added", "95 %", "× none", "added × lua", "what"],
    figures.map(({ row, us: value, addedUs, addedInterval, ratio }) => [
      row.name,
      us(value.median),
      range(value),
      row.name === "none" ? "" : us(addedUs),
      row.name === "none" ? "" : `${us(addedInterval.low)}–${us(addedInterval.high)}`,
      ratio.toFixed(3),
      lua === undefined || row.name === "none" ? "" : (addedUs / lua).toFixed(2),
      row.what,
    ]),
  );
}

function fixedTable({ fixed, figures }: HotPathReport): string {
  const rows = figures.forward.map(({ row }) => row.name).filter((name) => fixed.p50.has(name));
  return formatTable(
    ["row", "p50", "p99", "p99 × native"],
    rows.map((name) => [
      name,
      us(median(fixed.p50.get(name) ?? [])),
      us(median(fixed.p99.get(name) ?? [])),
      fixed.p99.has("native") ? p99Ratio(fixed, name, "native").value.toFixed(3) : "",
    ]),
  );
}

function busyTable({ equalRate, equalLoad, busy, capacities }: HotPathReport): string {
  const cells = (samples: LatencySamples, name: string): string[] => {
    if (!samples.p99.has(name)) return ["", "", ""];
    const { value, interval } = p99Ratio(samples, name, "native");
    return [
      us(median(samples.p99.get(name) ?? [])),
      value.toFixed(3),
      `${interval.low.toFixed(3)}–${interval.high.toFixed(3)}`,
    ];
  };
  return formatTable(
    ["row", "requests/s at most", "p99, equal rate", "× native", "95 %", "p99, equal load", "× native ", "95 % "],
    busy.map((name) => [
      name,
      Math.round(median(capacities.get(name) ?? [])).toString(),
      ...cells(equalRate, name),
      ...cells(equalLoad, name),
    ]),
  );
}

function us(value: number): string {
  return value.toFixed(2);
}

function range({ q1, q3 }: Quartiles): string {
  return `${us(q1)}–${us(q3)}`;
}
