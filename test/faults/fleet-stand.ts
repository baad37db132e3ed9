import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";
import { parse, stringify } from "yaml";
import { openStore } from "../../control/checkpoint/open-store.ts";
import type { CheckpointStore } from "../../control/checkpoint/store.ts";
import { loadConfig } from "../../control/config/load-config.ts";
import { NatsCluster } from "../../scripts/lib/nats-cluster.ts";
import { connectionManager, type RunningEnvoy, startEnvoy } from "../e2e/fixture/envoy.ts";
import { freePorts } from "../e2e/fixture/ports.ts";
import type { Requirements } from "../e2e/fixture/requirements.ts";
import { Rig } from "../e2e/fixture/rig.ts";
import { startUpstreams, type Upstreams } from "../e2e/fixture/upstreams.ts";
import { until } from "../e2e/fixture/wait.ts";
import { assertServed, type Outage, soundHistory } from "./invariants.ts";
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
  /** Another build of the filter. */
  wasmPath?: string;
  /** Where the SQLite file lies; default the rig's folder. */
  storeFolder?: string;
  maxStoreBytes?: number;
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
      const { maxStoreBytes } = options;
      const cluster =
        options.store === "sqlite"
          ? null
          : await NatsCluster.start(maxStoreBytes === undefined ? {} : { maxStoreBytes });
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
          : { nats: { servers: cluster.servers, monitor: cluster.monitors, name: "faults", timeout: "3s" } };
      const base: Record<string, Record<string, number>> = {};
      for (const [service, { targets }] of Object.entries<{ targets: Record<string, { base: string }> }>(
        yaml.services,
      )) {
        base[service] = {};
        for (const [target, { base: share }] of Object.entries(targets)) {
          base[service][target] = Number.parseFloat(share) * 10_000;
        }
      }
      const servers: ServerProcess[] = [];
      for (let i = 0; i < count; i++) {
        const [xdsPort, apiPort] = ports.splice(0, 2) as [number, number];
        yaml.server = { xds: `127.0.0.1:${xdsPort}`, api: `127.0.0.1:${apiPort}`, lease: LEASE };
        const name = `control-${i + 1}`;
        const configPath = join(rig.folder, `${name}.yaml`);
        await writeFile(configPath, stringify(yaml));
        servers.push(
          new ServerProcess(rig, { name, configPath, xdsPort, apiPort, ...(options.env ? { env: options.env } : {}) }),
        );
      }
      const stand = new FleetStand(rig, cluster, servers, await startUpstreams(rig, base), options);
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
      xdsPort: this.servers.map((server) => server.xdsPort),
      fleet: FLEET,
      nodeId,
      adminPort,
      ...(port === undefined ? {} : { port }),
      concurrency: 2,
      debugHeader: DEBUG_HEADER,
      edit: (listener) => {
        const manager = connectionManager(listener);
        manager.use_remote_address = true;
        manager.internal_address_config = { cidr_ranges: [{ address_prefix: "127.0.0.0", prefix_len: 8 }] };
      },
    });
  }

  async #addEdge(nodeId: string, adminPort: number): Promise<void> {
    const envoy = await this.#launch(nodeId, adminPort);
    const load = new WatchedLoad(this.rig, { port: envoy.port, services: [...this.#targets.keys()], rps: RPS });
    this.edges.push({ envoy, load, outages: [] });
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
    const turn = ++this.#flips;
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
      return status === 200 && state === "active" ? Number(epoch) : `${status} ${state ?? code} ${message ?? ""}`;
    } catch (error) {
      return String((error as Error).cause ?? error);
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

  /** Everything that must hold after a fault. Returns what was looked at. */
  async check(): Promise<{ requests: number; steered: number; committed: number }> {
    const committed = await soundHistory(await this.store());
    let requests = 0;
    let steered = 0;
    for (const [i, { load, outages }] of this.edges.entries()) {
      const seen = load.seen.splice(0);
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
