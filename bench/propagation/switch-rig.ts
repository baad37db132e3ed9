import { systemClock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { type BuiltTable, buildTable } from "../../control/table/build.ts";
import { makeSet } from "../../control/table/set.ts";
import { startXdsServer } from "../../control/xds/server.ts";
import { fetchEnvoy } from "../../scripts/fetch-envoy.ts";
import { bootstrap, httpListener, STEER_HEADER, wasmFilter } from "../hot-path/listener.ts";
import { ENVOY_CORE, OTHER_CORE } from "../hot-path/rig.ts";
import { FLEET } from "../lib/control-server.ts";
import { startEnvoy } from "../lib/envoy-process.ts";
import { filterModule } from "../lib/filter-module.ts";
import { freePorts } from "../lib/ports.ts";
import { type Helper, startHelper } from "./helper-process.ts";
import { type RdsServer, ROUTE_NAME, startRdsServer } from "./rds-server.ts";
import type { LoadCommand, LoadReport } from "./switch-load.ts";
import { monotonicMs, TARGET_NAMES } from "./switch-load.ts";

/** How a new split reaches the one Envoy: both rows push the same flip of the same service. */
export interface Pusher {
  name: "ballast" | "rds";
  /** Everything that may be done ahead; returns how long it took the Envoy, or null where there is no such phase. */
  prepare(target: string): Promise<number | null>;
  /** Pushes; returns the moment before it began, and how long until the Envoy acknowledged. */
  push(): Promise<{ startedMs: number; ackMs: number }>;
}

/** One Envoy with a listener per row, both in front of the same two upstreams, and the servers that push to it. */
export interface SwitchRig {
  load: Helper<LoadCommand, LoadReport>;
  pushers: readonly Pusher[];
  stop(): Promise<void>;
}

const SLOTS = 1024;
const DEADLINE_MS = 20_000;
const PER_WORKER = 8;
const API = "type.googleapis.com/envoy";

export async function startSwitchRig(options: { workers: number; services: number }): Promise<SwitchRig> {
  const module = await filterModule();
  if ("missing" in module) throw new BallastError("USAGE", `the filter cannot be built: ${module.missing}`);
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of stops.reverse()) await step();
  };
  try {
    const load = startHelper<LoadCommand, LoadReport>(OTHER_CORE, "switch-load.ts");
    stops.push(load.child.stop);
    const { ports } = await load.ask<"upstreams">({ do: "upstreams" });
    const rds = await startRdsServer();
    stops.push(rds.stop);
    const ballast = await startBallast(options.services);
    stops.push(ballast.stop);
    const native = nativePusher(rds, options.services);
    await native.prepare(TARGET_NAMES[0]);
    const [adminPort, ballastPort, nativePort] = (await freePorts(3)) as [number, number, number];
    const envoy = await startEnvoy({
      binary: await fetchEnvoy(),
      core: ENVOY_CORE,
      adminPort,
      concurrency: options.workers,
      bootstrap: {
        ...bootstrap({
          adminPort,
          listeners: [ballastListener(ballastPort, module.path), nativeListener(nativePort)],
          upstreams: Object.fromEntries(TARGET_NAMES.map((name, index) => [name, ports[index] as number])),
          grpc: { ballast_control: ballast.port, ads: rds.port },
        }),
        dynamic_resources: {
          ads_config: {
            api_type: "GRPC",
            transport_api_version: "V3",
            grpc_services: [{ envoy_grpc: { cluster_name: "ads" } }],
          },
        },
      },
    });
    stops.push(envoy.stop);
    await ballast.joined();
    await ballast.pusher.prepare(TARGET_NAMES[0]);
    await ballast.pusher.push();
    const request = "GET /service-0/ HTTP/1.1\r\nhost: shop.example\r\nx-service: service-0\r\n\r\n";
    for (const [group, port] of [
      ["ballast", ballastPort],
      ["rds", nativePort],
    ] as const) {
      await load.ask({
        do: "connect",
        group,
        port,
        adminPort,
        workers: options.workers,
        perWorker: PER_WORKER,
        request,
      });
    }
    return { load, pushers: [ballast.pusher, native], stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

function nativePusher(rds: RdsServer, services: number): Pusher {
  const others = Array.from({ length: services - 1 }, (_, index) => ({
    prefix: `/service-${index + 1}/`,
    clusters: { a: 50, b: 50 },
  }));
  return {
    name: "rds",
    prepare: async (target) => {
      rds.prepare([
        { prefix: "/service-0/", clusters: { a: target === "a" ? 100 : 0, b: target === "b" ? 100 : 0 } },
        ...others,
      ]);
      return null;
    },
    push: async () => {
      const startedMs = monotonicMs();
      await rds.send();
      return { startedMs, ackMs: monotonicMs() - startedMs };
    },
  };
}

async function startBallast(
  services: number,
): Promise<{ port: number; pusher: Pusher; joined(): Promise<void>; stop(): Promise<void> }> {
  const silent = { info: () => {}, warn: () => {}, error: () => {} };
  const server = await startXdsServer({ address: "127.0.0.1:0", fleet: FLEET, log: silent, clock: systemClock });
  const others: BuiltTable[] = [];
  for (let index = 1; index < services; index++) others.push(table(`service-${index}`, { a: 500_000, b: 500_000 }));
  let epoch = 0;
  return {
    port: server.port,
    stop: () => server.stop(),
    joined: async () => {
      const deadline = performance.now() + DEADLINE_MS;
      while (!server.fleet.nodes().some((node) => node.connected)) {
        if (performance.now() > deadline) throw new Error("the filter did not connect");
        await new Promise((done) => setTimeout(done, 20));
      }
    },
    pusher: {
      name: "ballast",
      prepare: async (target) => {
        epoch++;
        // A third target without slots makes every epoch's table a new one, so that each stage carries it.
        const flipped = table("service-0", {
          a: target === "a" ? 1_000_000 : 0,
          b: target === "b" ? 1_000_000 : 0,
          [`epoch-${epoch}`]: 0,
        });
        const set = makeSet([flipped, ...others].map(({ encoded }) => encoded));
        const staged = await server.fleet.stage(set, { epoch, term: 1, deadlineMs: DEADLINE_MS, quorum: "all" });
        if (!staged.ok || staged.acks !== 1) throw new Error(`epoch ${epoch}: ${JSON.stringify(staged)}`);
        return staged.tookMs;
      },
      push: async () => {
        const startedMs = monotonicMs();
        const active = await server.fleet.activate({ epoch, mode: "steer", deadlineMs: DEADLINE_MS });
        if (active.acks !== 1) throw new Error(`epoch ${epoch}: ${JSON.stringify(active)}`);
        return { startedMs, ackMs: active.tookMs };
      },
    },
  };
}

function table(service: string, shares: Record<string, number>): BuiltTable {
  const targets = Object.entries(shares).map(([name, ppm]) => ({
    name,
    basePpm: ppm,
    weightPpm: ppm,
    stickyPpm: ppm,
    draining: false,
  }));
  return buildTable({ service, observe: false, slots: SLOTS, targets, previous: null });
}

function ballastListener(port: number, path: string): object {
  const configuration = JSON.stringify({
    control_cluster: "ballast_control",
    fleet: FLEET,
    service_from: { header: "x-service" },
    steer_header: STEER_HEADER,
  });
  return httpListener({
    name: "ballast",
    port,
    strip: true,
    filters: [wasmFilter({ vmId: "ballast", path, configuration })],
    routes: [
      {
        match: { prefix: "/", headers: [{ name: STEER_HEADER, present_match: true }] },
        route: { cluster_header: STEER_HEADER },
      },
      { match: { prefix: "/" }, direct_response: { status: 503 } },
    ],
  });
}

function nativeListener(port: number): object {
  return {
    name: "rds",
    address: { socket_address: { address: "127.0.0.1", port_value: port } },
    filter_chains: [
      {
        filters: [
          {
            name: "hcm",
            typed_config: {
              "@type": `${API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
              stat_prefix: "rds",
              rds: { route_config_name: ROUTE_NAME, config_source: { ads: {}, resource_api_version: "V3" } },
              http_filters: [
                { name: "router", typed_config: { "@type": `${API}.extensions.filters.http.router.v3.Router` } },
              ],
            },
          },
        ],
      },
    ],
  };
}
