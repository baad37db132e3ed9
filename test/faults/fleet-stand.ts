import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";
import { parse, stringify } from "yaml";
import { openStore } from "../../control/checkpoint/open-store.ts";
import type { CheckpointRecord } from "../../control/checkpoint/record.ts";
import type { CheckpointStore } from "../../control/checkpoint/store.ts";
import { loadConfig } from "../../control/config/load-config.ts";
import { testAuthority } from "../../control/xds/test-certificates.ts";
import type { ControlTls } from "../../envoy/render/clusters.ts";
import { NatsCluster } from "../../scripts/lib/nats-cluster.ts";
import { type RunningEnvoy, startEnvoy, trustLoopback } from "../e2e/fixture/envoy.ts";
import { freePorts } from "../e2e/fixture/ports.ts";
import type { Requirements } from "../e2e/fixture/requirements.ts";
import { Rig } from "../e2e/fixture/rig.ts";
import { startUpstreams, type Upstreams } from "../e2e/fixture/upstreams.ts";
import { until } from "../e2e/fixture/wait.ts";
import { TRAP_HEADER } from "../envoy/fixture/trapping-filter.ts";
import { assertServed, type Outage, soundHistory } from "./invariants.ts";
import type { Namespace } from "./namespace.ts";
import { ServerProcess } from "./server-process.ts";
import { DEBUG_HEADER, WatchedLoad } from "./watched-load.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const FLEET = "faults";
/** The shortest that ballast.yaml takes: what a take-over waits for. */
const LEASE = "2s";
const BAKE = "300ms";
const RPS = 60;

export interface StandOptions {
  requirements: Requirements;
  /** Default: three NATS servers. */
  store?: "nats" | "sqlite";
  /** Default 2. */
  servers?: number;
  /** Default 2. */
  envoys?: number;
  /** Added to the servers' environment. */
  env?: Readonly<Record<string, string>>;
  /** The same for one server, by its index. */
  envOf?: (index: number) => Readonly<Record<string, string>>;
  /** The first server runs in it: link 0 leads to the NATS servers, link 1 to the Envoys. */
  namespace?: Namespace;
  /** Another build of the filter. */
  wasmPath?: string;
  /** Where the SQLite file, or the data of the NATS servers, lies; default a folder of its own. */
  storeFolder?: string;
}

interface Edge {
  envoy: RunningEnvoy;
  load: WatchedLoad;
  outages: [number, number][];
}

/**
 * Real processes: control servers on one store, Envoys with the released filter, backends, a load on each Envoy. Epochs are made
 * by the API: each flips every service from one target to another, so that any answer shows the epoch it was steered by.
 */
export class FleetStand {
  readonly rig: Rig;
  readonly cluster: NatsCluster | null;
  readonly servers: ServerProcess[];
  readonly edges: Edge[] = [];
  readonly storeName = "faults";
  readonly #options: StandOptions;
  readonly #upstreams: Upstreams;
  readonly #targets: ReadonlyMap<string, readonly string[]>;
  #store: CheckpointStore | null = null;
  #flips = 0;
  #tls: ((nodeId: string) => ControlTls) | null = null;

  private constructor(
    rig: Rig,
    cluster: NatsCluster | null,
    servers: ServerProcess[],
    upstreams: Upstreams,
    options: StandOptions,
  ) {
    this.rig = rig;
    this.cluster = cluster;
    this.servers = servers;
    this.#upstreams = upstreams;
    this.#options = options;
    this.#targets = new Map(upstreams.services.map(({ name, targets }) => [name, targets.map((one) => one.name)]));
  }

  static async start(options: StandOptions): Promise<FleetStand> {
    const rig = await Rig.open();
    try {
      const cluster =
        options.store === "sqlite"
          ? null
          : await NatsCluster.start({
              ...(options.storeFolder === undefined ? {} : { dataFolder: options.storeFolder }),
              ...(options.namespace === undefined ? {} : { host: options.namespace.links[0]!.here }),
            });
      rig.later(() => cluster?.stop());
      const count = options.servers ?? 2;
      const envoys = options.envoys ?? 2;
      const ports = await freePorts(count * 2 + envoys);
      const adminPorts = ports.splice(0, envoys);
      const yaml = parse(await readFile(join(ROOT, "demo", "ballast.yaml"), "utf8"));
      yaml.fleet = FLEET;
      // The estate's calendar lies in the past, and without a model and a history nothing moves but what the tests move.
      for (const section of ["clock", "history", "model"]) delete yaml[section];
      yaml.estate.servicenow = join(ROOT, yaml.estate.servicenow);
      yaml.envoy.admin = adminPorts.map((port) => `http://127.0.0.1:${port}`);
      // An admin endpoint is on a loopback that a server elsewhere does not have: without telemetry then.
      if (options.namespace !== undefined) delete yaml.envoy;
      yaml.policy = { ...yaml.policy, stepLimit: "100%", telemetryMaxAge: "1m" };
      // One step with a short bake; whether an Envoy that was killed takes a change back is for the rollout's own tests.
      yaml.rollout = {
        cohorts: ["100%"],
        slotStep: "100%",
        bakeTime: BAKE,
        telemetryGap: "1d",
        maxFailedNodes: "100%",
      };
      yaml.store =
        cluster === null
          ? { sqlite: join(options.storeFolder ?? rig.folder, "ballast.db") }
          : {
              nats: {
                servers: cluster.servers,
                monitor: cluster.monitors,
                name: "faults",
                timeout: "3s",
                ...(options.namespace === undefined ? {} : { allowClearText: true }),
              },
            };
      const base: Record<string, Record<string, number>> = {};
      for (const [service, { targets }] of Object.entries<{ targets: Record<string, { base: string }> }>(
        yaml.services,
      )) {
        base[service] = {};
        for (const [target, { base: share }] of Object.entries(targets)) {
          base[service][target] = Number.parseFloat(share) * 10_000;
        }
      }
      const certificates = options.namespace === undefined ? null : await issue(rig, envoys);
      const xdsTls = certificates === null ? {} : { xdsTls: certificates.server };
      const servers: ServerProcess[] = [];
      for (let i = 0; i < count; i++) {
        const [xdsPort, apiPort] = ports.splice(0, 2) as [number, number];
        const apart = i === 0 ? options.namespace : undefined;
        const xdsHost = apart === undefined ? "127.0.0.1" : apart.links[1]!.there;
        yaml.server = { xds: `${xdsHost}:${xdsPort}`, api: `127.0.0.1:${apiPort}`, lease: LEASE, ...xdsTls };
        const name = `control-${i + 1}`;
        const configPath = join(rig.folder, `${name}.yaml`);
        await writeFile(configPath, stringify(yaml));
        servers.push(
          new ServerProcess(rig, {
            name,
            configPath,
            xdsHost,
            xdsPort,
            apiPort,
            ...(apart === undefined ? {} : { wrapper: apart.wrapper }),
            env: { ...options.env, ...options.envOf?.(i) },
          }),
        );
      }
      const stand = new FleetStand(rig, cluster, servers, await startUpstreams(rig, base), options);
      stand.#tls = certificates?.node ?? null;
      for (const [i, adminPort] of adminPorts.entries()) await stand.#addEdge(`edge-${i + 1}`, adminPort);
      for (const server of servers) await server.start();
      await stand.leader();
      await stand.flip();
      return stand;
    } catch (thrown) {
      await rig.close();
      throw thrown;
    }
  }

  async close(): Promise<void> {
    await this.#store?.close();
    await this.rig.close();
  }

  async #launch(nodeId: string, adminPort: number, port?: number): Promise<RunningEnvoy> {
    return startEnvoy(this.rig, {
      requirements: this.#options.requirements,
      ...(this.#options.wasmPath === undefined ? {} : { wasmPath: this.#options.wasmPath }),
      services: this.#upstreams.services,
      xdsPort: this.servers.map((server) => ({ host: server.xdsHost, port: server.xdsPort })),
      ...(this.#tls === null ? {} : { controlTls: this.#tls(nodeId) }),
      fleet: FLEET,
      nodeId,
      adminPort,
      ...(port === undefined ? {} : { port }),
      concurrency: 2,
      debugHeader: DEBUG_HEADER,
      edit: trustLoopback,
    });
  }

  async #addEdge(nodeId: string, adminPort: number): Promise<void> {
    const envoy = await this.#launch(nodeId, adminPort);
    const load = new WatchedLoad(this.rig, { port: envoy.port, services: [...this.#targets.keys()], rps: RPS });
    this.edges.push({ envoy, load, outages: [] });
  }

  /** Traps the VM of the worker that gets the request. Envoy answers 503 to what is under way in that VM at this moment. */
  async trap(index: number): Promise<void> {
    const { envoy, outages } = this.edges[index]!;
    const fromMs = performance.now();
    const { status } = await fetch(`http://127.0.0.1:${envoy.port}/payments`, { headers: { [TRAP_HEADER]: "1" } });
    outages.push([fromMs, performance.now()]);
    if (status === 200) throw new Error("the VM did not trap");
  }

  /** SIGKILL of an Envoy; the returned function starts it again at the same place. Its requests are lost in between, by nature. */
  async killEnvoy(index: number): Promise<() => Promise<void>> {
    const edge = this.edges[index]!;
    const { port, adminPort, pid } = edge.envoy;
    // What is under way when it dies is lost with it.
    const outage: [number, number] = [performance.now(), Number.POSITIVE_INFINITY];
    edge.outages.push(outage);
    await this.rig.processes.running.find((one) => one.pid === pid)!.kill();
    return async () => {
      edge.envoy = await this.#launch(`edge-${index + 1}`, adminPort, port);
      outage[1] = performance.now();
    };
  }

  /** The one server that leads. Two that say so at once are told apart by asking again: an old one has not looked yet. */
  leader(timeoutMs = 60_000): Promise<ServerProcess> {
    return until(
      "a server leads",
      async () => {
        const roles = await Promise.all(this.servers.map((server) => server.role()));
        const leading = this.servers.filter((_, i) => roles[i] === "leader");
        return leading.length === 1 && leading[0];
      },
      timeoutMs,
    );
  }

  /** Asks for the next epoch and returns what came of it: its number, or why not. Which targets it names depends on its turn alone. */
  async tryFlip(server: ServerProcess): Promise<number | string> {
    const turn = this.#flips + 1;
    const services = [...this.#targets].map(([name, targets]) => ({
      name,
      weightsPpm: { [targets[turn % targets.length]!]: 1_000_000 },
    }));
    try {
      const { status, body } = await server.api("POST", "/v1/changes", {
        services,
        author: "faults",
        reason: `turn ${turn}`,
      });
      const { state, epoch, code, message } = body as Record<string, string | number | undefined>;
      // It holds already: a call whose answer was lost had been carried out.
      if (status === 200 || code === "CHANGE_EMPTY") this.#flips = turn;
      return status === 200 && state === "active" ? Number(epoch) : `${status} ${state ?? code} ${message ?? ""}`;
    } catch (error) {
      return String((error as Error).cause ?? error);
    }
  }

  /** As `tryFlip`, tried again while the server has another change in flight, or has this one already. */
  async flipOnce(server: ServerProcess): Promise<number | string> {
    for (;;) {
      const made = await this.tryFlip(server);
      if (typeof made === "number" || !/IN_FLIGHT|CHANGE_EMPTY/.test(made)) return made;
      await sleep(50);
    }
  }

  /** A new epoch, by whichever server leads, tried until it is in force and every Envoy steers by it. */
  async flip(): Promise<number> {
    let last = "";
    const epoch = await until(
      "an epoch is in force",
      async () => {
        const made = await this.tryFlip(await this.leader());
        if (typeof made === "number") return made;
        last = made;
        await sleep(100);
        return null;
      },
      90_000,
    ).catch((error: Error) => {
      throw new Error(`${error.message}; last: ${last}`);
    });
    await Promise.all(this.edges.map(({ load }) => load.reaches(epoch)));
    return epoch;
  }

  async store(): Promise<CheckpointStore> {
    this.#store ??= await openStore((await loadConfig(this.servers[0]!.configPath)).store);
    return this.#store;
  }

  /** The NATS server that leads the stream. */
  async natsLeader(): Promise<string> {
    const nc = await connect({ servers: this.cluster!.servers });
    try {
      return await until("the stream has a leader", async () => {
        const answer = await nc
          .request(`$JS.API.STREAM.INFO.${this.storeName}`, "", { timeout: 2_000 })
          .catch(() => null);
        return (answer?.json() as { cluster?: { leader?: string } } | undefined)?.cluster?.leader;
      });
    } finally {
      await nc.close();
    }
  }

  /** Closes our own look at the store, whose file is about to be replaced. */
  async forgetStore(): Promise<void> {
    await this.#store?.close();
    this.#store = null;
  }

  /** Everything that must hold after a fault; `before`: what was committed in a log that was lost. Returns what was looked at. */
  async check(
    before: ReadonlyMap<number, CheckpointRecord> = new Map(),
  ): Promise<{ requests: number; steered: number; committed: number }> {
    // Before the log is read: what they were steered by is in it then.
    const answers = this.edges.map(({ load }) => load.seen.splice(0));
    const committed = new Map([...before, ...(await soundHistory(await this.store()))]);
    let requests = 0;
    let steered = 0;
    for (const [i, { outages }] of this.edges.entries()) {
      const seen = answers[i]!;
      requests += seen.length;
      steered += assertServed(`edge-${i + 1}`, seen, committed, outages as readonly Outage[]).steered;
    }
    return { requests, steered, committed: committed.size };
  }

  /** `ballast audit verify`, as an operator runs it. */
  async auditCommand(): Promise<{ exit: number | null; text: string }> {
    const main = join(ROOT, "control", "cli", "main.ts");
    const child = spawn(process.execPath, [main, "audit", "verify", "--config", this.servers[0]!.configPath]);
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    const exit = await new Promise<number | null>((resolve) => child.once("close", resolve));
    return { exit, text };
  }
}

/** Certificates for the servers and for each Envoy as a node of the fleet. */
async function issue(rig: Rig, envoys: number) {
  const authority = testAuthority();
  const at = (name: string) => join(rig.folder, name);
  await writeFile(at("ca.pem"), authority.cert);
  const write = async (name: string, names: readonly string[]) => {
    const { cert, key } = authority.issue(name, names);
    await writeFile(at(`${name}.pem`), cert);
    await writeFile(at(`${name}.key`), key);
  };
  await write("control", ["DNS:control"]);
  for (let i = 1; i <= envoys; i++) await write(`edge-${i}`, [`URI:spiffe://test/fleet/${FLEET}/node/edge-${i}`]);
  return {
    server: { cert: at("control.pem"), key: at("control.key"), clientCa: at("ca.pem") },
    node: (nodeId: string): ControlTls => ({
      caFile: at("ca.pem"),
      certFile: at(`${nodeId}.pem`),
      keyFile: at(`${nodeId}.key`),
      serverName: "control",
    }),
  };
}
