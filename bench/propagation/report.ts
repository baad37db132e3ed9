import { quantile, quartiles } from "../lib/stats.ts";
import { formatTable } from "../lib/table.ts";
import type { FleetFigures, FleetRound } from "./fleet.ts";
import type { SwitchFigures, SwitchRound, SwitchRow } from "./switches.ts";

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
      String(figures.storm.refused),
    ];
  };
  return [
    versions,
    "Server alone on one core, all clients (one connection and one stream each) and the real Envoys on the other. Medians with quartiles over epochs that change one table (M = 1024) of 20. Stage: from the call to the last proof; activate: to the last acknowledgement; both: one after the other with nothing between. Skew: how long after the first node half and 99 % of the nodes had read the activation, by the clients' clock. CPU: of the whole server process per node and epoch. Memory: the highest resident size so far, with the first epoch (all 20 tables to all nodes) in it. Storm: all nodes break off and come back at once, until all are in; the server lets them in at a bounded rate, and each refusal is followed by another try.",
    formatTable(
      [
        "nodes",
        "Envoys",
        "stage ms",
        "activate ms",
        "both ms",
        "skew p50 ms",
        "skew p99 ms",
        "CPU µs/node",
        "peak MB",
        "first epoch ms",
        "storm ms",
        "storm refused",
      ],
      all.map(row),
    ),
  ].join("\n\n");
}

/** The section of RESULTS.md on one Envoy's workers; printed as it is. */
export function switchReport({ rows, requestsPerSecond }: SwitchFigures, versions: string): string {
  const pair = (rounds: readonly SwitchRound[], of: (round: SwitchRound) => number): string => {
    const values = rounds.map(of);
    return `${quantile(values, 0.5).toFixed(1)} / ${quantile(values, 0.99).toFixed(1)}`;
  };
  const cells = (row: SwitchRow): string[] => [
    String(row.workers),
    String(row.services),
    String(row.ballast.length),
    pair(row.ballast, ({ stageMs }) => stageMs ?? 0),
    pair(row.ballast, ({ firstMs }) => firstMs),
    pair(row.ballast, ({ lastMs }) => lastMs),
    pair(row.ballast, ({ ackMs }) => ackMs),
    pair(row.rds, ({ firstMs }) => firstMs),
    pair(row.rds, ({ lastMs }) => lastMs),
    pair([...row.ballast, ...row.rds], ({ blindMs }) => blindMs),
  ];
  const all = rows.flatMap(({ ballast, rds }) => [...ballast, ...rds]);
  const sum = (of: (round: SwitchRound) => number): number => all.reduce((total, round) => total + of(round), 0);
  return [
    versions,
    `One Envoy alone on one core; load, upstreams and both servers on the other. Each push turns one service from one target to the other; a Ballast push brings one new table, an RDS push the whole RouteConfiguration over ADS, by the same gRPC transport. Pushes of both rows alternate in random order while up to ${requestsPerSecond} requests per second run over eight keep-alive connections per worker (Envoy's own counters say which connection is whose). Milliseconds from just before the push to the arrival of the first answer of the new target, on the first and on the last worker, p50 / p99. The stage comes before and is not in them; acknowledged: until the server knew that all workers use it. Not seen: the time between the last request to the old target and the first answer of the new one, on the worker where it was longest; the true switch lies in that span.`,
    formatTable(
      ["workers", "services", "pushes", "stage", "first", "last", "acknowledged", "RDS first", "RDS last", "not seen"],
      rows.map(cells),
    ),
    `Answers seen ${sum(({ answers }) => answers)}, other than 200 ${sum(({ bad }) => bad)}, old after new on one worker ${sum(({ back }) => back)}.`,
  ].join("\n\n");
}
