import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../common/clock.ts";
import { type BuiltTable, buildTable } from "../../control/table/build.ts";
import { makeSet } from "../../control/table/set.ts";
import { startXdsServer } from "../../control/xds/server.ts";

/** The fleet and node names that the Ballast rows are configured with. */
export const FLEET = "bench";
const PPM = 1_000_000;
const ROUND_DEADLINE_MS = 10_000;
const JOIN_TIMEOUT_MS = 15_000;

/** Ballast's own xDS server with no planner behind it: a benchmark pushes whole sets by hand. */
export interface BenchControl {
  port: number;
  /** Builds the next tables from shares (any scale, per target name), pushes them as one epoch, waits until all filters use it. */
  push(services: Readonly<Record<string, Shares>>): Promise<Pushed>;
  /** Waits until `filters` filters are connected and use the last epoch pushed. */
  joined(filters: number): Promise<void>;
  stop(): Promise<void>;
}

/** Slots (or any other whole weights) per target; `base` gives each slot its home and defaults to `now`. */
export interface Shares {
  now: Readonly<Record<string, number>>;
  base?: Readonly<Record<string, number>>;
}

export interface Pushed {
  epoch: number;
  tables: BuiltTable[];
}

export async function startBenchControl(slots = 1024): Promise<BenchControl> {
  const silent = { info: () => {}, warn: () => {}, error: () => {} };
  const server = await startXdsServer({ address: "127.0.0.1:0", fleet: FLEET, log: silent, clock: systemClock });
  const inForce = new Map<string, BuiltTable>();
  let epoch = 0;
  let version = "";
  const using = (): number =>
    server.fleet.nodes().filter((node) => node.connected && node.activeVersion === version).length;
  return {
    port: server.port,
    stop: () => server.stop(),
    joined: async (filters) => {
      const deadline = performance.now() + JOIN_TIMEOUT_MS;
      while (using() < filters) {
        if (performance.now() > deadline) {
          throw new Error(
            `${using()} of ${filters} filters use epoch ${epoch}: ${JSON.stringify(server.fleet.nodes())}`,
          );
        }
        await sleep(20);
      }
    },
    push: async (services) => {
      const tables = Object.entries(services).map(([service, { now, base = now }]) => {
        const sum = (shares: Readonly<Record<string, number>>): number =>
          Object.values(shares).reduce((a, b) => a + b, 0);
        const ppm = (shares: Readonly<Record<string, number>>): Map<string, number> => wholePpm(shares, sum(shares));
        const [nowPpm, basePpm] = [ppm(now), ppm(base)];
        return buildTable({
          service,
          observe: false,
          slots,
          targets: Object.keys(now).map((name) => ({
            name,
            basePpm: basePpm.get(name) ?? 0,
            weightPpm: nowPpm.get(name) ?? 0,
            stickyPpm: nowPpm.get(name) ?? 0,
            draining: (nowPpm.get(name) ?? 0) === 0,
          })),
          previous: inForce.get(service)?.table ?? null,
        });
      });
      epoch++;
      const set = makeSet(tables.map((table) => table.encoded));
      const staged = await server.fleet.stage(set, { epoch, term: 1, deadlineMs: ROUND_DEADLINE_MS, quorum: "all" });
      if (!staged.ok) throw new Error(`epoch ${epoch} was not staged: ${JSON.stringify(staged)}`);
      const active = await server.fleet.activate({ epoch, mode: "steer", deadlineMs: ROUND_DEADLINE_MS });
      if (!active.ok) throw new Error(`epoch ${epoch} was not activated: ${JSON.stringify(active)}`);
      version = active.version;
      for (const table of tables) inForce.set(table.table.service, table);
      return { epoch, tables };
    },
  };
}

/** Shares in parts per million that sum to a million: the rounding goes to the largest. */
function wholePpm(shares: Readonly<Record<string, number>>, sum: number): Map<string, number> {
  const ppm = new Map(Object.entries(shares).map(([name, share]) => [name, Math.floor((share * PPM) / sum)]));
  const [largest] = [...ppm].sort((a, b) => b[1] - a[1]);
  if (largest === undefined) throw new Error("no targets");
  const missing = PPM - [...ppm.values()].reduce((a, b) => a + b, 0);
  ppm.set(largest[0], largest[1] + missing);
  return ppm;
}
