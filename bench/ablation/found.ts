import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../../control/config/load-config.ts";
import { buildEstate } from "../../control/estate/build-estate.ts";
import { buildWorld } from "../../control/features/groups/build-world.ts";
import type { Load, Neighbour } from "../../control/features/groups/world.ts";
import { readRouteVisits } from "../../control/ingest/covariates/route-visits.ts";
import { readLoadHistoryCsv } from "../../control/ingest/load-history-csv.ts";
import { readSeriesCsv } from "../../control/ingest/series-csv.ts";
import { readServiceNow } from "../../control/ingest/servicenow.ts";
import { ROOT } from "../lib/native-build.ts";
import type { Case } from "./case.ts";

const MINUTE_MS = 60_000;

/** Requests per minute of a world cup's site, 87 days: flash crowds, and weekdays that mattered. */
export async function worldCup(sharedData: string): Promise<Case> {
  const { values, startMs, stepMs } = await readSeriesCsv(join(sharedData, "traffic/worldcup98_per_min.csv"), {
    time: "minute",
    value: "count",
  });
  const load = summed({ startMs, values }, stepMs, 15);
  return {
    name: "World Cup 1998",
    kind: "found",
    about: "traffic/, requests per 15 min, 87 days",
    groups: ["calendar", "velocity"],
    shape: { season: 96, horizon: 4 },
    world: { stepMs: 15 * MINUTE_MS, timeZone: "Europe/Paris", loads: new Map([["site", load]]) },
    services: ["site"],
  };
}

/** Requests of a load balancer in five minutes, 14 days. */
export async function loadBalancer(sharedData: string): Promise<Case> {
  const { values, startMs, stepMs } = await readSeriesCsv(join(sharedData, "nab/elb_request_count_8c0756.csv"), {
    time: "timestamp",
    value: "value",
  });
  return {
    name: "AWS load balancer",
    kind: "found",
    about: "nab/, requests per 5 min, 14 days",
    groups: ["calendar", "velocity"],
    shape: { season: 288, horizon: 12 },
    // The file's times are four minutes past; whole steps are what a world's grid needs.
    world: { stepMs, loads: new Map([["elb", { startMs: Math.floor(startMs / stepMs) * stepMs, values }]]) },
    services: ["elb"],
  };
}

/** Operations of ten pods per minute with their calls, 20 hours. Of the adservice only the column `Time` is sound. */
export function onlineBoutique(sharedData: string): Case {
  const dir = join(sharedData, "nezha/ob-2022-08-22");
  const loads = new Map<string, Load>();
  for (const file of readdirSync(dir).filter((name) => name.endsWith("_metric.csv"))) {
    const [head, ...lines] = readFileSync(join(dir, file), "utf8").trim().split("\n");
    const column = head!.split(",").indexOf("PodWorkload(Ops)");
    const rows = lines
      .map((line) => line.split(","))
      .map((cells) => [Date.parse(`${cells[0]!.slice(0, 19)}Z`), Number(cells[column])] as const);
    const startMs = Math.floor(rows[0]![0] / MINUTE_MS) * MINUTE_MS;
    const values = new Float64Array(Math.floor((rows.at(-1)![0] - startMs) / MINUTE_MS) + 1).fill(Number.NaN);
    for (const [ms, value] of rows) values[Math.floor((ms - startMs) / MINUTE_MS)] = value;
    loads.set(file.split("-", 1)[0]!, { startMs, values });
  }
  const neighbours = new Map<string, Neighbour[]>();
  const couple = (service: string, other: string) =>
    neighbours.set(service, [...(neighbours.get(service) ?? []), { service: other, weight: 1 }]);
  for (const line of readFileSync(join(dir, "dependency.csv"), "utf8").trim().split("\n").slice(1)) {
    const [source, target] = line.split(",") as [string, string];
    if (!loads.has(source) || !loads.has(target)) continue;
    couple(source, target);
    couple(target, source);
  }
  return {
    name: "Online Boutique",
    kind: "found",
    about: "nezha/, operations of ten pods per minute, 20 h, their calls as coupling",
    groups: ["coupling", "velocity"],
    shape: { season: 60, horizon: 15 },
    world: { stepMs: MINUTE_MS, loads, neighbours },
    services: [...loads.keys()].filter((name) => name !== "adservice"),
  };
}

/** Requests of the components of a shop in five minutes with its service graph, two days. */
export function petShop(sharedData: string): Case {
  const dir = join(sharedData, "petshop/high_traffic");
  const [names, metrics, statistics, , ...lines] = readFileSync(join(dir, "noissue_metrics.csv"), "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(","));
  const stepMs = 5 * MINUTE_MS;
  const rows = lines.map((cells) => ({ ms: Number(cells[0]) * 1_000, cells }));
  const startMs = Math.floor(rows[0]!.ms / stepMs) * stepMs;
  const loads = new Map<string, Load>();
  for (const [column, metric] of metrics!.entries()) {
    if (metric !== "requests" || statistics![column] !== "Sum") continue;
    const values = new Float64Array(Math.floor((rows.at(-1)!.ms - startMs) / stepMs) + 1).fill(Number.NaN);
    for (const { ms, cells } of rows)
      if (cells[column] !== "" && cells[column] !== undefined)
        values[Math.floor((ms - startMs) / stepMs)] = Number(cells[column]);
    const known = values.filter((value) => !Number.isNaN(value));
    // A component that is hardly asked has nothing to forecast.
    if (known.length > 0.9 * values.length && known.reduce((sum, value) => sum + value, 0) / known.length > 20)
      loads.set(names![column]!, { startMs, values });
  }
  const graph = readFileSync(join(dir, "graph.csv"), "utf8")
    .trim()
    .split("\n")
    .map((line) => line.split(","));
  const neighbours = new Map<string, Neighbour[]>();
  for (const [from, ...cells] of graph.slice(1))
    for (const [i, cell] of cells.entries()) {
      const to = graph[0]![i + 1]!;
      if (Number(cell) === 0 || !loads.has(from!) || !loads.has(to) || from === to) continue;
      neighbours.set(from!, [...(neighbours.get(from!) ?? []), { service: to, weight: 1 }]);
      neighbours.set(to, [...(neighbours.get(to) ?? []), { service: from!, weight: 1 }]);
    }
  return {
    name: "pet shop",
    kind: "found",
    about: "petshop/, requests of its components per 5 min, two days, its graph as coupling",
    groups: ["coupling"],
    shape: { season: 12, horizon: 3 },
    world: { stepMs, loads, neighbours },
    services: [...neighbours.keys()],
  };
}

/** Requests of one site in 15 minutes with the sessions behind them, three and a half days. */
export async function accessLog(sharedData: string): Promise<Case> {
  const { visits } = await readRouteVisits(join(sharedData, "behaviour/apache_logs_10000"), "site");
  const stepMs = 15 * MINUTE_MS;
  const all = visits.get("site")!;
  const startMs = Math.ceil(all[0]!.atMs / stepMs) * stepMs;
  const values = new Float64Array(Math.floor((all.at(-1)!.atMs - startMs) / stepMs));
  for (const { atMs } of all) {
    const step = Math.floor((atMs - startMs) / stepMs);
    if (step >= 0 && step < values.length) values[step]!++;
  }
  return {
    name: "access log",
    kind: "found",
    about: "behaviour/, 10,000 requests of 1,753 clients per 15 min, 3.5 days",
    groups: ["behaviour"],
    shape: { season: 4, horizon: 4 },
    world: { stepMs, loads: new Map([["site", { startMs, values }]]), visits },
    services: ["site"],
  };
}

/** The demo's generated load and export: its changes take targets away, not demand, so they should be worth nothing. */
export async function demoEstate(): Promise<Case> {
  const config = await loadConfig(join(ROOT, "demo/ballast.yaml"));
  const folder = join(ROOT, "demo/estate");
  const records = await readServiceNow(folder);
  const estate = buildEstate({ records, config, nowMs: config.clock?.startMs ?? 0 });
  const history = await readLoadHistoryCsv(join(folder, "load_history.csv"), { stepMs: 5 * MINUTE_MS });
  return {
    name: "demo estate",
    kind: "found",
    about:
      "demo/estate, three services per 5 min, six weeks, with its changes and incidents (generated, not made for this)",
    groups: ["change", "coupling", "calendar"],
    shape: { season: 288, horizon: 12 },
    world: buildWorld({ history, estate: { estate, records } }),
    services: history.services,
  };
}

function summed({ startMs, values }: Load, stepMs: number, count: number): Load {
  const whole = stepMs * count;
  const skip = (((Math.ceil(startMs / whole) * whole - startMs) / stepMs) % count) | 0;
  const out = new Float64Array(Math.floor((values.length - skip) / count));
  for (let i = 0; i < out.length; i++) for (let k = 0; k < count; k++) out[i]! += values[skip + i * count + k]!;
  return { startMs: startMs + skip * stepMs, values: out };
}
