import { type Clock, systemClock } from "../../common/clock.ts";
import { parseClusters, parseNodeId, parseStats, STATS_FILTER } from "./envoy-admin-parse.ts";
import type { EnvoyAnswer, EnvoyReading } from "./telemetry-window.ts";

export interface ScraperOptions {
  /** Time for all requests of one reading, ms; default 2,000. */
  timeoutMs?: number;
  /** Largest answer that is read, bytes; default 16 MiB (about 1,000 clusters with full histograms). */
  maxBytes?: number;
  clock?: Clock;
}

const NODE_AGE_MS = 30_000;

/**
 * Reads Envoys through their admin endpoint, over connections that Node's fetch keeps open. Read-only: GET on /ready,
 * /clusters and /stats, and on /server_info now and then. It never throws; whatever goes wrong is the answer's `reason`.
 */
export class EnvoyAdminScraper {
  readonly #timeoutMs: number;
  readonly #maxBytes: number;
  readonly #clock: Clock;
  /** Who answers at each address, and when it was asked; bounded by the addresses that are read. */
  readonly #nodes = new Map<string, { node: string | null; atMonotonicMs: number }>();

  constructor(options: ScraperOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? 2_000;
    this.#maxBytes = options.maxBytes ?? 16 * 1024 * 1024;
    this.#clock = options.clock ?? systemClock;
  }

  /** `url` is the admin address, for example `http://127.0.0.1:9901`. `signal` ends the reading early. */
  async read(url: string, signal?: AbortSignal): Promise<EnvoyAnswer> {
    try {
      const timeout = AbortSignal.timeout(this.#timeoutMs);
      return await this.#read(url, signal === undefined ? timeout : AbortSignal.any([timeout, signal]));
    } catch (cause) {
      return { url, atMonotonicMs: this.#clock.monotonicMs(), reason: this.#reason(cause) };
    }
  }

  async #read(url: string, signal: AbortSignal): Promise<EnvoyReading> {
    // Before the first health checks are done every checked host counts as failed, and nothing is served either.
    const ready = (await this.#get(new URL("/ready", url), signal, [200, 503])).trim();
    if (ready.includes("INITIALIZING")) throw new Error(`Envoy is not ready: ${ready.slice(0, 40)}`);

    const clusters = parseClusters(await this.#json(new URL("/clusters?format=json", url), signal));
    if (clusters === null) throw new Error("the answer to /clusters is not a list of clusters");
    const query = `format=json&histogram_buckets=detailed&filter=${encodeURIComponent(STATS_FILTER)}`;
    // Envoy read its counters at some moment between the two stamps; a stalled event loop sets them far apart.
    const requestedMs = this.#clock.monotonicMs();
    const body = await this.#json(new URL(`/stats?${query}`, url), signal);
    const spanMs = this.#clock.monotonicMs() - requestedMs;
    const stats = parseStats(
      body,
      [...clusters.values()].map((c) => c.statName),
    );
    if (stats === null) throw new Error("the answer to /stats is not a list of statistics");
    return {
      url,
      node: await this.#node(url, signal),
      atMonotonicMs: requestedMs + spanMs / 2,
      spanMs,
      uptimeS: stats.uptimeS,
      clusters: new Map([...clusters].map(([name, c]) => [name, { ...c, stats: stats.clusters.get(c.statName)! }])),
    };
  }

  /** An address rarely changes hands, and never without its counters starting anew; whoever it belongs to is asked again in time. */
  async #node(url: string, signal: AbortSignal): Promise<string | null> {
    const known = this.#nodes.get(url);
    const nowMs = this.#clock.monotonicMs();
    if (known !== undefined && nowMs - known.atMonotonicMs < NODE_AGE_MS) return known.node;
    // An admin endpoint behind something that lets only statistics through is one without a name.
    const node = await this.#json(new URL("/server_info", url), signal).then(parseNodeId, () => null);
    this.#nodes.set(url, { node, atMonotonicMs: nowMs });
    return node;
  }

  async #json(url: URL, signal: AbortSignal): Promise<unknown> {
    const body = await this.#get(url, signal, [200]);
    try {
      return JSON.parse(body);
    } catch (cause) {
      throw new Error(`${url.pathname} answered something that is not JSON`, { cause });
    }
  }

  async #get(url: URL, signal: AbortSignal, statuses: readonly number[]): Promise<string> {
    const response = await fetch(url, { signal, redirect: "error" });
    if (!statuses.includes(response.status)) {
      await response.body?.cancel();
      throw new Error(`${url.pathname} answered with status ${response.status}`);
    }
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of response.body ?? []) {
      bytes += chunk.byteLength;
      if (bytes > this.#maxBytes) throw new Error(`${url.pathname} answered more than ${this.#maxBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  }

  #reason(cause: unknown): string {
    if (!(cause instanceof Error)) return String(cause);
    if (cause.name === "TimeoutError") return `no complete answer within ${this.#timeoutMs} ms`;
    // fetch says "fetch failed" and keeps what happened (ECONNREFUSED, a port that fetch bars, …) in the cause.
    const inner = cause.cause;
    const detail = !(inner instanceof Error) ? "" : "code" in inner ? String(inner.code) : inner.message;
    return `${cause.message}${detail === "" || inner instanceof SyntaxError ? "" : ` (${detail})`}`;
  }
}
