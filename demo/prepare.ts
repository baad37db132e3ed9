import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { parseDocument } from "yaml";
import type { BallastConfig } from "../control/config/config.ts";
import { type Inputs, loadInputs } from "../control/serve/inputs.ts";
import { renderBootstrap } from "../envoy/demo.ts";
import { fetchEnvoy } from "../scripts/fetch-envoy.ts";
import { type DemoPorts, planPorts, requireFreePorts } from "./ports.ts";

export const SESSION_COOKIE = "sid";
const NODE_ID = "edge-1";
/** Folder of everything a run writes; ignored by git. */
const HOME = join(import.meta.dirname, "..", ".ballast");

export interface PreparedDemo {
  inputs: Inputs;
  ports: DemoPorts;
  /** Logs, the bootstrap and (with a port base) the configuration and the store of this run. */
  runDir: string;
  /** The configuration the control server is given. */
  configPath: string;
  envoyPath: string;
  bootstrapPath: string;
}

/** Fetches, builds, reads and writes all that a run needs, and checks its ports; starts nothing. */
export async function prepareDemo(options: {
  configPath: string;
  portBase: number | null;
  ballast: boolean;
  onProgress: (text: string) => void;
}): Promise<PreparedDemo> {
  const { configPath, portBase, ballast, onProgress } = options;
  const inputs = await loadInputs(configPath, (config) => config.clock?.startMs ?? Date.now());
  const { config } = inputs;
  const ports = planPorts(config, portBase);
  await requireFreePorts(ports, config);
  const [envoyPath, wasmPath] = await Promise.all([fetchEnvoy({ onProgress }), ballast ? filterModule() : null]);

  // Only after the ports were found free: another demo may be at work in this folder.
  const runDir = join(HOME, portBase === null ? "demo" : `demo-${portBase}`);
  await rm(runDir, { recursive: true, force: true });
  await mkdir(runDir, { recursive: true });
  await forgetStore(config);

  const bootstrap = renderBootstrap({
    fleet: config.fleet,
    nodeId: NODE_ID,
    listenPort: ports.listen,
    adminPort: ports.admin,
    services: [...config.services.values()].map((service) => ({
      name: service.name,
      targets: [...service.targets.values()].map(({ name, basePpm }) => ({
        name,
        basePpm,
        port: ports.targets.get(name)!,
      })),
    })),
    filter: wasmPath === null ? null : { wasmPath, control: ports.xds, sessionCookie: SESSION_COOKIE },
  });
  const bootstrapPath = join(runDir, "envoy.json");
  await writeFile(bootstrapPath, `${JSON.stringify(bootstrap, null, 2)}\n`);
  const served = portBase === null ? configPath : await moveConfig(config, ports, runDir);
  return { inputs, ports, runDir, configPath: served, envoyPath, bootstrapPath };
}

/** Loaded only when it is needed: it brings the AssemblyScript compiler with it. */
async function filterModule(): Promise<string> {
  const { buildFilter } = await import("../scripts/build-filter.ts");
  return buildFilter();
}

/**
 * Every run begins with the first epoch. A store is removed only inside our own ignored folder: one that lies elsewhere is
 * somebody's record.
 */
async function forgetStore(config: BallastConfig): Promise<void> {
  const store = resolve(config.store.sqlite);
  if (relative(HOME, store).startsWith("..")) return;
  for (const suffix of ["", "-wal", "-shm", ".anchor"]) await rm(`${store}${suffix}`, { force: true });
}

/** A copy of the configuration with this run's ports and a store of its own. */
async function moveConfig(config: BallastConfig, ports: DemoPorts, runDir: string): Promise<string> {
  const document = parseDocument(await readFile(config.file, "utf8"));
  document.setIn(["server", "xds"], `${ports.xds.host}:${ports.xds.port}`);
  document.setIn(["server", "api"], `${ports.api.host}:${ports.api.port}`);
  document.setIn(["envoy", "admin"], [`http://127.0.0.1:${ports.admin}`]);
  document.setIn(["store", "sqlite"], join(runDir, "ballast.db"));
  const path = join(runDir, "ballast.yaml");
  await writeFile(path, document.toString());
  return path;
}
