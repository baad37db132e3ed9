import type { Bin, ClusterHealth, ClusterStats } from "./envoy-admin-parse.ts";
import { quantile } from "./latency-quantile.ts";
import type { TargetTelemetry, TelemetrySnapshot } from "./telemetry.ts";

/** One answer of one Envoy. Counters are cumulative since that Envoy started. */
export interface EnvoyReading {
  url: string;
  atMonotonicMs: number;
  uptimeS: number | null;
  clusters: ReadonlyMap<string, ClusterHealth & { stats: ClusterStats }>;
}

export type EnvoyAnswer = EnvoyReading | { url: string; atMonotonicMs: number; reason: string };

/** What happened at one Envoy between two readings. */
interface Interval {
  seconds: number;
  completed: number;
  failed: number;
  latency: Map<number, Bin>;
}

interface Endpoint {
  reading: EnvoyReading;
  /** By cluster; absent until the endpoint has been read twice. */
  intervals: Map<string, Interval> | null;
}

/**
 * Turns successive readings of all Envoys of a fleet into snapshots. Pure: time comes with the readings.
 *
 * - Rates and latencies are those of the last interval of each Envoy, summed (latencies: the histograms are merged).
 * - A restarted Envoy (its uptime or any counter fell) counts from zero, so its next interval holds what it did since.
 * - An Envoy that does not answer keeps its last interval for `holdMs`, so that one lost scrape does not look like a fall in
 *   demand; after that it no longer counts, for a dead Envoy carries nothing. Where none is fresh all last readings stay and
 *   `atMonotonicMs` tells their age.
 * - Hosts are counted once per Envoy that knows them: a target is dead when every Envoy sees it dead.
 */
export class TelemetryWindow {
  readonly #holdMs: number;
  readonly #endpoints = new Map<string, Endpoint>();
  #unreachable: { url: string; reason: string }[] = [];

  /** `holdMs`: default 10,000. The endpoints are bounded by what the caller polls. */
  constructor(options: { holdMs?: number } = {}) {
    this.#holdMs = options.holdMs ?? 10_000;
  }

  /** One round: an answer, good or bad, of every endpoint that was asked. Readings not newer than the last are ignored. */
  add(answers: readonly EnvoyAnswer[]): void {
    this.#unreachable = [];
    for (const answer of answers) {
      if ("reason" in answer) {
        this.#unreachable.push({ url: answer.url, reason: answer.reason });
        continue;
      }
      const before = this.#endpoints.get(answer.url);
      if (before !== undefined && answer.atMonotonicMs <= before.reading.atMonotonicMs) continue;
      const intervals = before === undefined ? null : between(before, answer);
      this.#endpoints.set(answer.url, { reading: answer, intervals });
    }
  }

  /** The state as of `nowMonotonicMs`. Before any reading: no targets, and `atMonotonicMs` is −Infinity. */
  snapshot(nowMonotonicMs: number): TelemetrySnapshot {
    const all = [...this.#endpoints.values()];
    const fresh = all.filter((e) => nowMonotonicMs - e.reading.atMonotonicMs <= this.#holdMs);
    const used = fresh.length > 0 ? fresh : all;
    const targets = new Map<string, TargetTelemetry>();
    for (const name of new Set(used.flatMap((e) => [...e.reading.clusters.keys()]))) {
      targets.set(name, summary(name, used));
    }
    return {
      atMonotonicMs: Math.max(Number.NEGATIVE_INFINITY, ...all.map((e) => e.reading.atMonotonicMs)),
      targets,
      unreachable: this.#unreachable,
    };
  }
}

function summary(target: string, endpoints: readonly Endpoint[]): TargetTelemetry {
  let [healthyHosts, totalHosts, activeRequests, completed, failed] = [0, 0, 0, 0, 0];
  let rps: number | null = null;
  const latency = new Map<number, Bin>();
  for (const { reading, intervals } of endpoints) {
    const cluster = reading.clusters.get(target);
    if (cluster === undefined) continue;
    healthyHosts += cluster.healthyHosts;
    totalHosts += cluster.totalHosts;
    activeRequests += cluster.stats.active;
    const interval = intervals?.get(target);
    if (interval === undefined) continue;
    rps = (rps ?? 0) + interval.completed / interval.seconds;
    completed += interval.completed;
    failed += interval.failed;
    for (const bin of interval.latency.values()) {
      latency.set(bin.lowMs, { ...bin, count: bin.count + (latency.get(bin.lowMs)?.count ?? 0) });
    }
  }
  return {
    target,
    healthyHosts,
    totalHosts,
    rps,
    activeRequests,
    p50Ms: quantile(latency.values(), 0.5),
    p99Ms: quantile(latency.values(), 0.99),
    errorRatio: completed > 0 ? Math.min(1, failed / completed) : null,
  };
}

function between({ reading: before, intervals: earlier }: Endpoint, after: EnvoyReading): Map<string, Interval> {
  const seconds = (after.atMonotonicMs - before.atMonotonicMs) / 1_000;
  const restarted = hasRestarted(before, after);
  const intervals = new Map<string, Interval>();
  for (const [name, { stats }] of after.clusters) {
    const known = restarted ? undefined : before.clusters.get(name)?.stats;
    const gain = (now: number, then = 0): number => Math.max(0, now - then);
    const latency = new Map<number, Bin>();
    for (const bin of stats.latency.values()) {
      const count = gain(bin.count, known?.latency.get(bin.lowMs)?.count);
      if (count > 0) latency.set(bin.lowMs, { ...bin, count });
    }
    const completed = gain(stats.completed, known?.completed);
    // Counters move at once, histograms at Envoy's stats flush: until then the latencies of the last flush stand.
    const waits = latency.size === 0 && completed > 0;
    intervals.set(name, {
      seconds,
      completed,
      // A request that lost its connection is a 503 too unless it was retried; the larger count has all of one kind twice.
      failed: Math.max(gain(stats.errors5xx, known?.errors5xx), gain(stats.ejected, known?.ejected)),
      latency: waits ? (earlier?.get(name)?.latency ?? latency) : latency,
    });
  }
  return intervals;
}

/** Counters never fall while an Envoy lives. A cluster that was removed and added again only starts anew by itself. */
function hasRestarted(before: EnvoyReading, after: EnvoyReading): boolean {
  if (before.uptimeS !== null && after.uptimeS !== null && after.uptimeS < before.uptimeS) return true;
  for (const [name, { stats }] of after.clusters) {
    const known = before.clusters.get(name)?.stats;
    if (known !== undefined && (stats.completed < known.completed || stats.errors5xx < known.errors5xx)) return true;
  }
  return false;
}
