/**
 * The simulated nodes of the fleet benchmark, a process of its own: each node is one TCP (or TLS) connection with one gRPC stream
 * and behaves like the filter's leader. Commands and reports travel over the IPC channel of the process that started it.
 */
import { readFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, type SecureContext } from "node:tls";
import { quantile } from "../lib/stats.ts";
import { FilterScript } from "./fleet-node.ts";
import { H2Reader, opening } from "./h2-client.ts";

export interface ClientsOptions {
  port: number;
  fleet: string;
  nodes: number;
  /** Handshakes in flight while the fleet connects. */
  parallel: number;
  /** PEM files; without them the connections are plain. */
  tls?: { ca: string; cert: string; key: string };
}

export type ClientsCommand =
  | { do: "connect"; options: ClientsOptions }
  /** The nodes' own account of the activation of this version. */
  | { do: "account"; version: string }
  /** All nodes break their connections and come back at once. */
  | { do: "storm" };

export type ClientsReport =
  | { say: "connected"; ms: number }
  | { say: "account"; active: number; lost: number; skewMs: { p50: number; p99: number; max: number } }
  | { say: "stormed"; ms: number; refused: number }
  | { say: "failed"; why: string };

const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
/** A connection that the server did not take is tried again after this time, up to twice as late. */
const RETRY_MS = 500;

class SimulatedNode {
  readonly id: string;
  readonly #script: FilterScript;
  #socket: Socket | null = null;
  #held = new Set<string>();
  #stage: { version: string; digests: readonly string[]; ack: Buffer } | null = null;
  #tableNonce = "";
  #tableVersion = "";
  #stagedVersion = "";
  activeVersion = "";
  activeAtMs = 0;

  constructor(id: string, script: FilterScript) {
    this.id = id;
    this.#script = script;
  }

  /** Calls back once: true when the server's first bytes came, false when the connection failed. */
  open(options: ClientsOptions, context: SecureContext | null, lead: Buffer, done: (open: boolean) => void): void {
    const to = { port: options.port, host: "127.0.0.1" };
    const socket =
      context === null
        ? connectTcp({ ...to, noDelay: true })
        : connectTls({ ...to, secureContext: context, ALPNProtocols: ["h2"], servername: "localhost" });
    let told = false;
    const tell = (open: boolean): void => {
      if (!told) done(open);
      told = true;
    };
    const gone = (): void => {
      if (this.#socket === socket) {
        this.#socket = null;
        lost++;
      }
      socket.destroy();
      tell(false);
    };
    const reader = new H2Reader(socket, (message) => this.#receive(message), gone);
    socket.once(context === null ? "connect" : "secureConnect", () => {
      this.#tableNonce = "";
      this.#tableVersion = "";
      this.#socket = socket;
      socket.write(Buffer.concat([lead, this.#script.hello(this.id, "0", this.#stagedVersion, this.activeVersion)]));
    });
    socket.on("data", (chunk: Buffer) => {
      tell(true);
      // Like Envoy: what several messages of one read call for leaves in one write.
      socket.cork();
      reader.read(chunk);
      socket.uncork();
    });
    socket.on("error", gone);
    socket.on("close", gone);
  }

  break(): void {
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
  }

  #receive(message: Buffer): void {
    const reading = this.#script.read(message);
    switch (reading.kind) {
      case "stage":
        this.#stage = reading;
        this.#fetchOrProve();
        break;
      case "table":
        for (const digest of reading.digests) this.#held.add(digest);
        this.#tableNonce = reading.nonce;
        this.#tableVersion = reading.version;
        if (this.#missing().length > 0) this.#fetchOrProve();
        else {
          this.#socket?.write(reading.ack);
          // The filter proves the set after its workers have read it: never in the same packet as the tables' ACK.
          setImmediate(() => this.#fetchOrProve());
        }
        break;
      case "activation":
        this.activeVersion = reading.version;
        this.activeAtMs = performance.now();
        this.#socket?.write(reading.ack);
        break;
    }
  }

  #missing(): string[] {
    return this.#stage === null ? [] : this.#stage.digests.filter((digest) => !this.#held.has(digest));
  }

  #fetchOrProve(): void {
    const stage = this.#stage;
    if (stage === null) return;
    const missing = this.#missing();
    if (missing.length > 0) {
      this.#socket?.write(this.#script.tableRequest(missing, this.#tableNonce, this.#tableVersion));
      return;
    }
    this.#stage = null;
    this.#stagedVersion = stage.version;
    // Two sets' worth at most: what the last stage did not name is forgotten.
    if (this.#held.size > 2 * stage.digests.length) this.#held = new Set(stage.digests);
    this.#socket?.write(stage.ack);
  }
}

let options: ClientsOptions | null = null;
/** Open connections that ended without our doing. */
let lost = 0;
let context: SecureContext | null = null;
let lead: Buffer = Buffer.alloc(0);
const nodes: SimulatedNode[] = [];

/** Opens all nodes, `parallel` handshakes at a time; what was refused comes back later. Resolves with the refusals. */
function openAll(parallel: number): Promise<number> {
  const to = options as ClientsOptions;
  return new Promise((done) => {
    let next = 0;
    let open = 0;
    let refused = 0;
    const start = (node: SimulatedNode): void => {
      node.open(to, context, lead, (success) => {
        if (success) {
          if (++open === nodes.length) done(refused);
          const following = nodes[next++];
          if (following !== undefined) start(following);
        } else {
          refused++;
          setTimeout(() => start(node), RETRY_MS * (1 + Math.random()));
        }
      });
    };
    while (next < Math.min(parallel, nodes.length)) start(nodes[next++] as SimulatedNode);
  });
}

const say = (report: ClientsReport): void => {
  process.send?.(report);
};

async function obey(command: ClientsCommand): Promise<void> {
  if (command.do === "connect") {
    options = command.options;
    const { tls } = options;
    if (tls !== undefined) {
      context = createSecureContext({
        ca: readFileSync(tls.ca),
        cert: readFileSync(tls.cert),
        key: readFileSync(tls.key),
      });
    }
    lead = opening(PATH, `localhost:${options.port}`, tls !== undefined);
    const script = new FilterScript(options.fleet);
    for (let i = 0; i < options.nodes; i++) nodes.push(new SimulatedNode(`node-${i}`, script));
    const startedAtMs = performance.now();
    await openAll(options.parallel);
    say({ say: "connected", ms: performance.now() - startedAtMs });
  } else if (command.do === "storm") {
    const startedAtMs = performance.now();
    for (const node of nodes) node.break();
    const refused = await openAll(nodes.length);
    say({ say: "stormed", ms: performance.now() - startedAtMs, refused });
  } else {
    const times = nodes.filter((node) => node.activeVersion === command.version).map((node) => node.activeAtMs);
    const first = times.reduce((least, ms) => Math.min(least, ms), Number.POSITIVE_INFINITY);
    const skews = times.length === 0 ? [0] : times.map((ms) => ms - first);
    say({
      say: "account",
      active: times.length,
      lost,
      skewMs: { p50: quantile(skews, 0.5), p99: quantile(skews, 0.99), max: quantile(skews, 1) },
    });
  }
}

process.on("message", (command: ClientsCommand) => {
  obey(command).catch((cause: unknown) => say({ say: "failed", why: String(cause) }));
});
process.on("disconnect", () => process.exit(0));
