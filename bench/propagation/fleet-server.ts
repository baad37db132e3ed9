/** The server under test in a process of its own, so that its CPU and memory are nobody else's: Ballast's xDS server as released. */
import { readFileSync } from "node:fs";
import { systemClock } from "../../common/clock.ts";
import { type BuiltTable, buildTable } from "../../control/table/build.ts";
import { makeSet } from "../../control/table/set.ts";
import { startXdsServer, type XdsServer } from "../../control/xds/server.ts";
import { processCpuNs } from "../lib/proc-cpu.ts";

export interface ServerOptions {
  fleet: string;
  services: number;
  slots: number;
  tls?: { ca: string; cert: string; key: string };
}

export type ServerCommand =
  | { do: "start"; options: ServerOptions }
  /** Reports as soon as so many nodes hold the epoch in force (or, before the first, have subscribed). */
  | { do: "wait"; nodes: number }
  /** Stages and activates the next epoch, in which the share of one service changes. */
  | { do: "push" }
  | { do: "stop" };

export interface Pushed {
  say: "pushed";
  version: string;
  voters: number;
  stageMs: number;
  activateMs: number;
  /** From the call of stage to the last proof of the activation, building and encoding the set not included. */
  totalMs: number;
  cpuNs: number;
  rssBytes: number;
}

export type ServerReport =
  | { say: "started"; port: number }
  | { say: "waited" }
  | Pushed
  | { say: "failed"; why: string }
  | { say: "stopped" };

const DEADLINE_MS = 120_000;
const log = { info: () => {}, warn: () => {}, error: () => {} };

let server: XdsServer | null = null;
let settings: ServerOptions | null = null;
let epoch = 0;
let version = "";
const tables: BuiltTable[] = [];

function table(service: number, share: number): BuiltTable {
  const name = `service-${service}`;
  const target = (suffix: string, ppm: number) => ({
    name: `${name}-${suffix}`,
    basePpm: 500_000,
    weightPpm: ppm,
    stickyPpm: ppm,
    draining: false,
  });
  return buildTable({
    service: name,
    observe: false,
    slots: settings?.slots ?? 1024,
    targets: [target("site-a", share), target("site-b", 1_000_000 - share)],
    previous: tables[service]?.table ?? null,
  });
}

async function push(): Promise<Pushed> {
  const { fleet } = server as XdsServer;
  epoch++;
  const services = settings?.services ?? 1;
  if (tables.length === 0) for (let i = 0; i < services; i++) tables.push(table(i, 500_000));
  else tables[epoch % services] = table(epoch % services, 300_000 + ((epoch * 7919) % 400_000));
  const set = makeSet(tables.map(({ encoded }) => encoded));
  const cpuBefore = processCpuNs(process.pid);
  const startedAtMs = performance.now();
  const staged = await fleet.stage(set, { epoch, term: 1, deadlineMs: DEADLINE_MS, quorum: "all" });
  if (!staged.ok) throw new Error(`epoch ${epoch} was not staged: ${staged.result} ${staged.reason}`);
  const active = await fleet.activate({ epoch, mode: "steer", deadlineMs: DEADLINE_MS });
  if (!active.ok || active.acks !== staged.acks)
    throw new Error(`epoch ${epoch}: ${active.acks} of ${staged.acks} use it`);
  const totalMs = performance.now() - startedAtMs;
  version = active.version;
  return {
    say: "pushed",
    version,
    voters: staged.acks,
    stageMs: staged.tookMs,
    activateMs: active.tookMs,
    totalMs,
    cpuNs: processCpuNs(process.pid) - cpuBefore,
    rssBytes: peakRssBytes(),
  };
}

/** The kernel's high-water mark of resident memory: peaks between two looks are in it. */
function peakRssBytes(): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "latin1"))?.[1]) * 1024;
}

async function obey(command: ServerCommand): Promise<ServerReport> {
  switch (command.do) {
    case "start": {
      settings = command.options;
      const { tls } = settings;
      server = await startXdsServer({
        address: "127.0.0.1:0",
        fleet: settings.fleet,
        log,
        clock: systemClock,
        // All nodes share one client process: a ping behind the bytes of thousands may wait longer than any real Envoy's would.
        limits: { keepaliveTimeoutMs: DEADLINE_MS },
        ...(tls === undefined
          ? {}
          : { tls: { cert: readFileSync(tls.cert), key: readFileSync(tls.key), clientCa: readFileSync(tls.ca) } }),
      });
      return { say: "started", port: server.port };
    }
    case "wait": {
      const { fleet } = server as XdsServer;
      const deadline = performance.now() + DEADLINE_MS;
      for (;;) {
        const ready = fleet.nodes().filter((node) => node.connected && node.activeVersion === version).length;
        if (ready >= command.nodes) return { say: "waited" };
        if (performance.now() > deadline) throw new Error(`${ready} of ${command.nodes} nodes are connected`);
        await new Promise((done) => setTimeout(done, 50));
      }
    }
    case "push":
      return push();
    case "stop":
      await server?.stop();
      return { say: "stopped" };
  }
}

process.on("message", (command: ServerCommand) => {
  obey(command).then(
    (report) => process.send?.(report),
    (cause: unknown) =>
      process.send?.({ say: "failed", why: cause instanceof Error ? (cause.stack ?? "") : String(cause) }),
  );
});
process.on("disconnect", () => process.exit(0));
// A profile (--cpu-prof) is only written by an orderly exit.
process.on("SIGTERM", () => process.exit(0));
