import { quartiles } from "../lib/stats.ts";
import { formatTable } from "../lib/table.ts";
import type { FleetFigures, FleetRound } from "./fleet.ts";
import type { SwitchFigures } from "./switches.ts";

const ms = (value: number): string => (value < 100 ? value.toFixed(1) : value.toFixed(0));

/** The section of RESULTS.md on whole fleets; printed as it is. */
export function fleetReport(all: readonly FleetFigures[], versions: string): string {
  const row = (figures: FleetFigures): string[] => {
    const of = (pick: (round: FleetRound) => number): string => {
      const { q1, median, q3 } = quartiles(figures.timed.map(pick));
      return `${ms(median)} (${ms(q1)}–${ms(q3)})`;
    };
    return [
      `${figures.nodes}${figures.mtls ? " mTLS" : ""}`,
      String(figures.envoys),
      of((round) => round.stageMs),
      of((round) => round.activateMs),
      of((round) => round.totalMs),
      of((round) => round.skewP50Ms),
      of((round) => round.skewP99Ms),
      of((round) => round.cpuNs / 1_000 / figures.nodes),
      `${Math.round(Math.max(...figures.timed.map((round) => round.rssBytes)) / 1e6)}`,
      ms(figures.first.totalMs),
      ms(figures.storm.ms),
    ];
  };
  return [
    versions,
    "Server alone on one core, all clients (one connection and one stream each) and the real Envoys on the other. Medians with quartiles over epochs that change one table (M = 1024) of 20. Stage: from the call to the last proof; activate: to the last acknowledgement; both: one after the other with nothing between. Skew: how long after the first node half and 99 % of the nodes had read the activation, by the clients' clock. CPU: of the whole server process per node and epoch. Memory: the highest resident size so far, with the first epoch (all 20 tables to all nodes) in it. Storm: all nodes break off and come back at once, until all are in; the server lets them in at a bounded rate.",
    formatTable(
      ["nodes", "Envoys", "stage ms", "activate ms", "both ms", "skew p50 ms", "skew p99 ms", "CPU µs/node", "peak MB", "first epoch ms", "storm ms"],
      all.map(row),
    ),
  ].join("\n\n");
}

/** The section of RESULTS.md on one Envoy's workers; printed as it is. */
export function switchReport(figures: SwitchFigures, versions: string): string {
  return JSON.stringify(figures) + versions;
}
