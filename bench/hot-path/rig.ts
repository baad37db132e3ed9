import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { setPriority } from "node:os";
import { dirname, join } from "node:path";
import { type Child, startPinned } from "../lib/child.ts";
import { type EnvoyProcess, startEnvoy } from "../lib/envoy-process.ts";
import { type LoadGenerator, startLoadGenerator } from "../lib/load-generator.ts";
import { freePorts } from "../lib/ports.ts";
import { seededRandom } from "../lib/random.ts";
import { scratchFolder } from "../lib/scratch.ts";
import { bootstrap, type Mode, SERVICE, TARGETS } from "./listener.ts";
import { peerConfiguration, type Row } from "./rows.ts";

/** Envoy alone on one core; everything else of the benchmark on the other. */
export const ENVOY_CORE = 0;
export const OTHER_CORE = 1;
/** Requests in flight in closed rounds: enough to keep Envoy busy, few enough to stay in its caches. */
export const PARALLEL = 8;
export const SESSIONS = 1024;
const CONNECTIONS = 96;

/** The Envoy under test with a listener per row and mode, the load generator with the upstreams, and the ext_proc service. */
export interface Rig {
  envoy: EnvoyProcess;
  load: LoadGenerator;
  extProc: Child | undefined;
  port(row: Row, mode: Mode): number;
  stop(): Promise<void>;
}

export interface RigParts {
  envoyBinary: string;
  loadBinary: string;
  rows: readonly Row[];
  modes: readonly Mode[];
  extProcBinary?: string;
  dynamicModulePath?: string;
  /** Port of the control server that the Ballast rows subscribe to. */
  controlPort?: number;
}

/** Requests as a browser-like client sends them: 1,024 sessions, the same bytes for every row. */
export function sessionRequests(count = SESSIONS, seed = 7): string[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, (_, index) => {
    const key = Array.from({ length: 24 }, () => Math.floor(random() * 16).toString(16)).join("");
    return (
      `GET /payments/${1000 + index} HTTP/1.1\r\nhost: shop.example\r\nuser-agent: bench/1\r\naccept: application/json\r\n` +
      `x-service: ${SERVICE}\r\ncookie: theme=dark; sid=${key}; lang=en\r\n\r\n`
    );
  });
}

/** On the core that is not Envoy's, and before other work of the machine where that is allowed; what is started inherits the latter. */
export function pinSelf(): void {
  execFileSync("taskset", ["-acp", String(OTHER_CORE), String(process.pid)]);
  try {
    setPriority(HIGHEST_PRIORITY);
  } catch {
    // Not root: the figures are noisier and no less true.
  }
}
const HIGHEST_PRIORITY = -19;

export async function startRig(parts: RigParts): Promise<Rig> {
  const listeners = parts.rows.flatMap((row) =>
    row.modes.filter((mode) => parts.modes.includes(mode)).map((mode) => ({ row, mode })),
  );
  const ports = await freePorts(listeners.length + TARGETS.length + 2);
  const adminPort = ports.pop() as number;
  const extProcPort = ports.pop() as number;
  const upstreamPorts = TARGETS.map(() => ports.pop() as number);
  const portOf = new Map(listeners.map(({ row, mode }, index) => [`${row.name} ${mode}`, ports[index] as number]));
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of stops.reverse()) await step();
  };
  try {
    let extProc: Child | undefined;
    if (parts.extProcBinary !== undefined) {
      const folder = scratchFolder();
      await writeFile(join(folder, "config"), peerConfiguration({ service: "header", session: true }));
      extProc = startPinned(OTHER_CORE, parts.extProcBinary, [`127.0.0.1:${extProcPort}`, join(folder, "config")]);
      stops.push(extProc.stop);
    }
    const load = await startLoadGenerator({
      binary: parts.loadBinary,
      core: OTHER_CORE,
      requests: sessionRequests(),
      upstreamPorts,
    });
    stops.push(load.stop);
    const envoy = await startEnvoy({
      binary: parts.envoyBinary,
      core: ENVOY_CORE,
      adminPort,
      env:
        parts.dynamicModulePath === undefined
          ? {}
          : { ENVOY_DYNAMIC_MODULES_SEARCH_PATH: dirname(parts.dynamicModulePath) },
      bootstrap: bootstrap({
        adminPort,
        listeners: listeners.map(({ row, mode }) => row.listener(portOf.get(`${row.name} ${mode}`) as number, mode)),
        upstreams: Object.fromEntries(TARGETS.map(({ cluster }, index) => [cluster, upstreamPorts[index] as number])),
        grpc: { ext_proc: extProcPort, ballast_control: parts.controlPort ?? extProcPort },
      }),
    });
    stops.push(envoy.stop);
    for (const port of portOf.values()) await load.connect(port, CONNECTIONS);
    return {
      envoy,
      load,
      extProc,
      stop,
      port: (row, mode) => {
        const port = portOf.get(`${row.name} ${mode}`);
        if (port === undefined) throw new Error(`no listener for ${row.name} ${mode}`);
        return port;
      },
    };
  } catch (cause) {
    await stop();
    throw cause;
  }
}
