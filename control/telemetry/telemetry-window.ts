import type { Bin, ClusterHealth, ClusterStats } from "./envoy-admin-parse.ts";
import { quantile } from "./latency-quantile.ts";
import type { TargetTelemetry, TelemetrySnapshot } from "./telemetry.ts";

/** One answer of one Envoy. Counters are cumulative since that Envoy started. */
export interface EnvoyReading {
  url: string;
  /** The middle of the time in which the counters were read. */
  atMonotonicMs: number;
  /** Length of that time, ms: from the request to the end of its answer. Default 0. */
  spanMs?: number;
  uptimeS: number | null;
  /** Its `node.id`; null when it did not say. */
  node: string | null;
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
  /** The newest: health and active requests are taken from it. */
  reading: EnvoyReading;
  /** Where the next interval begins; older than `reading` while the time since is too short or too uncertain. */
  base: EnvoyReading;
  /** By cluster; absent until the endpoint has been read twice. */
  intervals: Map<string, Interval> | null;
  /** Seconds of the intervals if they are of this round, else 0. */
  newS: number;
}

/** Largest part of an interval that may be doubtful, so that a rate is wrong by at most about a tenth. */
const MAX_DOUBT = 0.1;

/**
 * Turns successive readings of all Envoys of a fleet into snapshots. Pure: time comes with the readings.
 *
 * - Rates and latencies are those of the last interval of each Envoy, summed (latencies: the histograms are merged).
 * - An interval whose ends are not known well enough (a slow answer, or a stall of this process), or that is shorter than
 *   `minIntervalMs`, is not used: the next one begins where it began. Until then the rate stands; health is always the newest.
 * - A restarted Envoy (its uptime or any counter fell) counts from zero, so its next interval holds what it did since.
 * - An Envoy that does not answer keeps its last interval for `holdMs`, so that one lost scrape does not look like a fall in
 *   demand; after that it no longer counts, for a dead Envoy carries nothing. Where none is fresh all last readings stay and
 *   `atMonotonicMs` tells their age.
 * - Hosts are counted once per Envoy that knows them: a target is dead when every Envoy sees it dead.
 */
export class TelemetryWindow {
  readonly #holdMs: number;
  readonly #minIntervalMs: number;
  readonly #endpoints = new Map<string, Endpoint>();
  #unreachable: { url: string; reason: string }[] = [];

  /** `holdMs`: default 10,000; `minIntervalMs`: default 0, best half of the polling interval. The endpoints are bounded by what the caller polls. */
  constructor(options: { holdMs?: number; minIntervalMs?: number } = {}) {
    this.#holdMs = options.holdMs ?? 10_000;
    this.#minIntervalMs = options.minIntervalMs ?? 0;
  }

  /** One round: an answer, good or bad, of every endpoint that was asked. Readings not newer than the last are ignored. */
  add(answers: readonly EnvoyAnswer[]): void {
    this.#unreachable = [];
    for (const endpoint of this.#endpoints.values()) endpoint.newS = 0;
    for (const answer of answers) {
      if ("reason" in answer) {
        this.#unreachable.push({ url: answer.url, reason: answer.reason });
        continue;
      }
      const before = this.#endpoints.get(answer.url);
      if (before !== undefined && answer.atMonotonicMs <= before.reading.atMonotonicMs) continue;
      this.#endpoints.set(answer.url, before === undefined ? begin(answer, null) : this.#next(before, answer));
    }
  }

  #next(before: Endpoint, reading: EnvoyReading): Endpoint {
    const { base, intervals } = before;
    const intervalMs = reading.atMonotonicMs - base.atMonotonicMs;
    const doubtMs = ((base.spanMs ?? 0) + (reading.spanMs ?? 0)) / 2;
    if (intervalMs >= this.#minIntervalMs && doubtMs <= MAX_DOUBT * intervalMs) {
      return { reading, base: reading, intervals: between(before, reading), newS: intervalMs / 1_000 };
    }
    // Across a restart that the next reading could no longer show, the old base's counters mean nothing.
    if (hasRestarted(before.reading, reading)) return begin(reading, intervals);
    return { reading, base, intervals, newS: 0 };
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
  let [newS, measured] = [0, 0];
  const latency = new Map<number, Bin>();
  for (const { reading, intervals, newS: seconds } of endpoints) {
    const cluster = reading.clusters.get(target);
    if (cluster === undefined) continue;
    healthyHosts += cluster.healthyHosts;
    totalHosts += cluster.totalHosts;
    activeRequests += cluster.stats.active;
    const interval = intervals?.get(target);
    if (interval === undefined) continue;
    rps = (rps ?? 0) + interval.completed / interval.seconds;
    newS += seconds;
    measured++;
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
    intervalS: measured > 0 ? newS / measured : 0,
    activeRequests,
    p50Ms: quantile(latency.values(), 0.5),
    p99Ms: quantile(latency.values(), 0.99),
    errorRatio: completed > 0 ? Math.min(1, failed / completed) : null,
  };
}

function begin(reading: EnvoyReading, intervals: Endpoint["intervals"]): Endpoint {
  return { reading, base: reading, intervals, newS: 0 };
}

function between({ base: before, intervals: earlier }: Endpoint, after: EnvoyReading): Map<string, Interval> {
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
export function hasRestarted(before: EnvoyReading, after: EnvoyReading): boolean {
  if (before.uptimeS !== null && after.uptimeS !== null && after.uptimeS < before.uptimeS) return true;
  for (const [name, { stats }] of after.clusters) {
    const known = before.clusters.get(name)?.stats;
    if (known !== undefined && (stats.completed < known.completed || stats.errors5xx < known.errors5xx)) return true;
  }
  return false;
}
