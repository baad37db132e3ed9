import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fetchNats } from "../fetch-nats.ts";

export interface NatsClusterOptions {
  /** 1 (no cluster) or 3. Default 3. */
  size?: 1 | 3;
  /** Every write on disk before it is acknowledged (`sync_interval: always`). Default true; false only to test the refusal. */
  syncAlways?: boolean;
  /** Largest message. Default 1 MiB, as nats-server's own. */
  maxPayloadBytes?: number;
  /** Disk that JetStream of one server may use. Default 1 GiB. */
  maxStoreBytes?: number;
  /** Clients must speak TLS and show a certificate of this authority; PEM files. Default: clear text. */
  tls?: { certFile: string; keyFile: string; caFile: string };
  /** Where the data lies; default a fresh folder under the system's temporary one. Deleted by stop() either way. */
  folder?: string;
  /** Address for clients and monitoring. Default 127.0.0.1; the servers among themselves stay on loopback. */
  host?: string;
  /** Where JetStream's data lies, when not in `folder`; left there by stop(). */
  dataFolder?: string;
}

interface Node {
  name: string;
  clientPort: number;
  monitorPort: number;
  configPath: string;
  logPath: string;
  process: ChildProcess | null;
}

/** Longest time until all servers run and JetStream has its leader; about a second on an idle machine. */
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 5_000;
const LOOPBACK = "127.0.0.1";

/** Real nats-servers with JetStream on loopback, for tests, benchmarks and the rig. Every process is ended by its own id. */
export class NatsCluster {
  readonly folder: string;
  readonly #binary: string;
  readonly #nodes: Node[];
  readonly #scheme: "nats" | "tls";
  readonly #host: string;

  private constructor(folder: string, binary: string, nodes: Node[], scheme: "nats" | "tls", host: string) {
    this.#host = host;
    this.#scheme = scheme;
    this.folder = folder;
    this.#binary = binary;
    this.#nodes = nodes;
  }

  /** Starts the servers and waits until JetStream answers on each. Throws with the log's place when they do not come up. */
  static async start(options: NatsClusterOptions = {}): Promise<NatsCluster> {
    const { size = 3, syncAlways = true, maxPayloadBytes = 1024 * 1024, maxStoreBytes = 1024 ** 3 } = options;
    const binary = await fetchNats();
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "ballast-nats-")));
    const host = options.host ?? LOOPBACK;
    const dataFolder = options.dataFolder ?? folder;
    const ports = await freePorts(size * 3);
    const routes = Array.from({ length: size }, (_, i) => `nats://127.0.0.1:${ports[i * 3 + 2]}`);
    const nodes: Node[] = [];
    for (let i = 0; i < size; i++) {
      const [clientPort, monitorPort, routePort] = ports.slice(i * 3, i * 3 + 3) as [number, number, number];
      const name = `n${i + 1}`;
      const configPath = join(folder, `${name}.conf`);
      const cluster =
        size === 1
          ? ""
          : `cluster { name: ballast, listen: "127.0.0.1:${routePort}", routes: ${JSON.stringify(routes)} }\n`;
      await mkdir(join(dataFolder, name), { recursive: true });
      await writeFile(
        configPath,
        `server_name: ${name}\nlisten: "${host}:${clientPort}"\n${tlsSection(options.tls)}http: "${host}:${monitorPort}"\nmax_payload: ${maxPayloadBytes}\n` +
          `jetstream { store_dir: ${JSON.stringify(join(dataFolder, name))}, max_file_store: ${maxStoreBytes}${syncAlways ? ", sync_interval: always" : ""} }\n${cluster}`,
      );
      nodes.push({ name, clientPort, monitorPort, configPath, logPath: join(folder, `${name}.log`), process: null });
    }
    const started = new NatsCluster(folder, binary, nodes, options.tls === undefined ? "nats" : "tls", host);
    try {
      for (const node of nodes) started.#spawn(node);
      await started.ready();
    } catch (error) {
      await started.stop();
      throw error;
    }
    return started;
  }

  /** Client addresses of all servers, also of those that do not run. */
  get servers(): string[] {
    // A certificate is checked by name: the client has no check for an address.
    const host = this.#scheme === "tls" ? "localhost" : this.#host;
    return this.#nodes.map((node) => `${this.#scheme}://${host}:${node.clientPort}`);
  }

  get monitors(): string[] {
    return this.#nodes.map((node) => `http://${this.#host}:${node.monitorPort}`);
  }

  get names(): string[] {
    return this.#nodes.map((node) => node.name);
  }

  /** Process id of a running server. */
  pid(name: string): number {
    const pid = this.#node(name).process?.pid;
    if (pid === undefined) throw new Error(`${name} does not run`);
    return pid;
  }

  /** Sends a signal to one server; resolves when it has ended, for a signal that ends it. */
  async kill(name: string, signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    const node = this.#node(name);
    const { process } = node;
    if (process === null) return;
    node.process = null;
    if (process.exitCode !== null || process.signalCode !== null) return;
    const ended = once(process, "exit");
    process.kill(signal);
    await ended;
  }

  /** Starts a server again on its data. */
  restart(name: string): void {
    const node = this.#node(name);
    if (node.process !== null) throw new Error(`${name} runs`);
    this.#spawn(node);
  }

  /** Resolves when every running server has JetStream and knows its leader. */
  async ready(): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (const node of this.#nodes) {
      while (node.process !== null && !(await this.#isReady(node))) {
        if (node.process.exitCode !== null) throw new Error(`nats-server ${node.name} ended: see ${node.logPath}`);
        if (performance.now() > deadline) throw new Error(`nats-server ${node.name} is not ready: see ${node.logPath}`);
        await sleep(50);
      }
    }
  }

  async stop(): Promise<void> {
    for (const node of this.#nodes) {
      // A server that was paused by a test does not see SIGTERM.
      node.process?.kill("SIGCONT");
      await Promise.race([this.kill(node.name, "SIGTERM"), sleep(STOP_TIMEOUT_MS, undefined, { ref: false })]);
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  #node(name: string): Node {
    const node = this.#nodes.find((one) => one.name === name);
    if (node === undefined) throw new Error(`there is no server ${name}`);
    return node;
  }

  #spawn(node: Node): void {
    const child = spawn(this.#binary, ["-c", node.configPath], { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.pipe(createWriteStream(node.logPath, { flags: "a" }));
    node.process = child;
  }

  async #isReady(node: Node): Promise<boolean> {
    try {
      const answer = await fetch(`http://${this.#host}:${node.monitorPort}/healthz`, {
        signal: AbortSignal.timeout(1_000),
      });
      if (!answer.ok) return false;
      if (this.#nodes.length === 1) return true;
      const jsz = await fetch(`http://${this.#host}:${node.monitorPort}/jsz`, { signal: AbortSignal.timeout(1_000) });
      const { meta_cluster: meta } = (await jsz.json()) as {
        meta_cluster?: { leader?: string; cluster_size?: number };
      };
      return (meta?.leader ?? "") !== "" && meta?.cluster_size === this.#nodes.length;
    } catch {
      return false;
    }
  }
}

/** Ports that were free a moment ago. Another process may take one before the server does: the start then fails, loudly. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  try {
    await Promise.all(servers.map((server) => once(server.listen(0, "127.0.0.1"), "listening")));
    return servers.map((server) => (server.address() as { port: number }).port);
  } finally {
    await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  }
}

function tlsSection(tls: NatsClusterOptions["tls"]): string {
  if (tls === undefined) return "";
  const { certFile, keyFile, caFile } = tls;
  const files = `cert_file: ${JSON.stringify(certFile)}, key_file: ${JSON.stringify(keyFile)}, ca_file: ${JSON.stringify(caFile)}`;
  return `tls { ${files}, verify: true }\n`;
}
