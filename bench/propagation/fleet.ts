import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BallastError } from "../../common/errors.ts";
import { testAuthority } from "../../control/xds/test-certificates.ts";
import { fetchEnvoy } from "../../scripts/fetch-envoy.ts";
import { bootstrap, httpListener, wasmFilter } from "../hot-path/listener.ts";
import { ENVOY_CORE, OTHER_CORE, pinSelf } from "../hot-path/rig.ts";
import { FLEET } from "../lib/control-server.ts";
import { type EnvoyProcess, startEnvoy } from "../lib/envoy-process.ts";
import { filterModule } from "../lib/filter-module.ts";
import { freePorts } from "../lib/ports.ts";
import { scratchFolder } from "../lib/scratch.ts";
import { quartiles } from "../lib/stats.ts";
import type { ClientsCommand, ClientsReport } from "./fleet-clients.ts";
import type { Pushed, ServerCommand, ServerReport } from "./fleet-server.ts";
import { startHelper } from "./helper-process.ts";

export interface FleetOptions {
  nodes: number;
  mtls: boolean;
  /** Timed epochs; the first, which brings every table to every node, comes before them. */
  rounds: number;
  /** Real Envoys beside the simulated nodes; plain connections only. */
  envoys: number;
}

export interface FleetRound extends Pushed {
  skewP50Ms: number;
  skewP99Ms: number;
}

export interface FleetFigures extends FleetOptions {
  /** Until all simulated nodes were in, `parallel` at a time. */
  connectMs: number;
  first: Pushed;
  timed: FleetRound[];
  /** All nodes break off and come back at once: until all are in again, and the connections that the server put off. */
  storm: { ms: number; refused: number };
}

const SERVICES = 20;
const SLOTS = 1024;
/** TLS handshakes or TCP connects in flight while the fleet comes up. */
const PARALLEL = 128;

/** Runs one fleet: server on one core, clients and Envoys on the other. */
export async function measureFleet(options: FleetOptions): Promise<FleetFigures> {
  const open = Number(/Max open files\s+(\d+)/.exec(await limits())?.[1] ?? 1024);
  if (open < options.nodes + 100) {
    throw new BallastError("USAGE", `${options.nodes} nodes need as many open files; the limit is ${open} (ulimit -n)`);
  }
  pinSelf();
  const tls = options.mtls ? await certificates() : undefined;
  const server = startHelper<ServerCommand, ServerReport>(ENVOY_CORE, "fleet-server.ts", [
    // As `npm run ballast` starts the server.
    "--max-semi-space-size=8",
  ]);
  const clients = startHelper<ClientsCommand, ClientsReport>(OTHER_CORE, "fleet-clients.ts");
  const envoys: EnvoyProcess[] = [];
  try {
    const { port } = await server.ask<"started">({
      do: "start",
      options: { fleet: FLEET, services: SERVICES, slots: SLOTS, ...(tls === undefined ? {} : { tls: tls.server }) },
    });
    const { ms: connectMs } = await clients.ask<"connected">({
      do: "connect",
      options: {
        port,
        fleet: FLEET,
        nodes: options.nodes,
        parallel: PARALLEL,
        ...(tls === undefined ? {} : { tls: tls.client }),
      },
    });
    for (let i = 0; i < options.envoys; i++) envoys.push(await startFollower(`envoy-${i}`, port));
    await server.ask({ do: "wait", nodes: options.nodes + options.envoys });
    const first = await server.ask<"pushed">({ do: "push" });
    const timed: FleetRound[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const pushed = await server.ask<"pushed">({ do: "push" });
      const account = await clients.ask<"account">({ do: "account", version: pushed.version });
      if (account.lost > 0) throw new Error(`${account.lost} connections broke during the run`);
      if (account.active !== options.nodes || pushed.voters !== options.nodes + options.envoys) {
        throw new Error(`${account.active} nodes of ${pushed.voters} voters use ${pushed.version}`);
      }
      timed.push({ ...pushed, skewP50Ms: account.skewMs.p50, skewP99Ms: account.skewMs.p99 });
    }
    const storm = await clients.ask<"stormed">({ do: "storm" });
    // Throws when a node is not back with what was active before.
    await server.ask({ do: "wait", nodes: options.nodes + options.envoys });
    await server.ask({ do: "stop" });
    return { ...options, connectMs, first, timed, storm: { ms: storm.ms, refused: storm.refused } };
  } finally {
    for (const envoy of envoys) await envoy.stop();
    await clients.child.stop();
    await server.child.stop();
  }
}

/** What goes behind RESULT: medians over the timed epochs, the highest memory of all. */
export function fleetResult({ nodes, mtls, timed }: FleetFigures): object {
  const mid = (of: (round: FleetRound) => number): number => Number(quartiles(timed.map(of)).median.toFixed(1));
  return {
    bench: "fleet",
    nodes,
    mtls,
    stage_ms: mid((round) => round.stageMs),
    activate_ms: mid((round) => round.activateMs),
    skew_ms: { p50: mid((round) => round.skewP50Ms), p99: mid((round) => round.skewP99Ms) },
    cpu_us_per_node: mid((round) => round.cpuNs / 1_000 / nodes),
    rss_mb: Math.round(Math.max(...timed.map((round) => round.rssBytes)) / 1e6),
  };
}

/** An Envoy with the filter and nothing else: one more node whose proofs come from real workers. */
async function startFollower(id: string, controlPort: number): Promise<EnvoyProcess> {
  const module = await filterModule();
  if ("missing" in module) throw new BallastError("USAGE", `the filter cannot be built: ${module.missing}`);
  const [adminPort, port] = (await freePorts(2)) as [number, number];
  const configuration = JSON.stringify({
    control_cluster: "ballast_control",
    fleet: FLEET,
    node: id,
    service_from: { fixed: "service-0" },
    steer_header: "x-ballast-target",
  });
  return startEnvoy({
    binary: await fetchEnvoy(),
    core: OTHER_CORE,
    adminPort,
    bootstrap: bootstrap({
      adminPort,
      listeners: [
        httpListener({
          name: "follower",
          port,
          filters: [wasmFilter({ vmId: "ballast", path: module.path, configuration })],
          routes: [{ match: { prefix: "/" }, direct_response: { status: 200 } }],
        }),
      ],
      upstreams: {},
      grpc: { ballast_control: controlPort },
    }),
  });
}

interface TlsFiles {
  ca: string;
  cert: string;
  key: string;
}

async function certificates(): Promise<{ server: TlsFiles; client: TlsFiles }> {
  const folder = scratchFolder();
  const authority = testAuthority();
  const write = async (name: string, bytes: Buffer): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, bytes, { mode: 0o600 });
    return path;
  };
  const ca = await write("ca.pem", authority.cert);
  const files = async (name: string, names: string[]): Promise<TlsFiles> => {
    const { cert, key } = authority.issue(name, names);
    return { ca, cert: await write(`${name}.pem`, cert), key: await write(`${name}.key`, key) };
  };
  return {
    server: await files("server", ["DNS:localhost", "IP:127.0.0.1"]),
    client: await files("client", [`URI:spiffe://bench.example/fleet/${FLEET}`]),
  };
}

async function limits(): Promise<string> {
  return readFile("/proc/self/limits", "utf8");
}
