import type { Bin } from "../telemetry/envoy-admin-parse.ts";
import { quantile } from "../telemetry/latency-quantile.ts";
import { type EnvoyAnswer, type EnvoyReading, hasRestarted } from "../telemetry/telemetry-window.ts";
import { type Metrics, NOTHING_SEEN, type Objective } from "./metrics.ts";

/** Readings kept per Envoy to look back from; more would only make the look back finer. */
const KEPT_READINGS = 8;

interface Endpoint {
  latest: EnvoyReading;
  /** Spread over `lookBackMs`, oldest first. */
  earlier: EnvoyReading[];
}

/** A moment from which something is measured. */
export interface Mark {
  readonly atMonotonicMs: number;
  /** By URL: the first reading after the moment, so that nothing from before it is counted. */
  readonly bases: Map<string, EnvoyReading>;
  /** URLs whose Envoy was heard of shortly before. */
  readonly expected: ReadonlySet<string>;
}

/** Which Envoys count; `node` is null for one that did not say who it is. */
export type NodeFilter = (node: string | null) => boolean;

/**
 * Measures spans of any length from the cumulative counters of Envoys, apart for any part of them. Pure: time comes with the
 * readings. An Envoy that started anew counts from zero. Bounded by the endpoints that are polled.
 */
export class RolloutMeter {
  readonly #lookBackMs: number;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #marks = new Set<Mark>();

  /** `lookBackMs`: how far back `before` looks, of the monotonic clock. */
  constructor(options: { lookBackMs: number }) {
    this.#lookBackMs = Math.max(1, options.lookBackMs);
  }

  /** One round: an answer of every endpoint that was asked. */
  add(answers: readonly EnvoyAnswer[]): void {
    for (const answer of answers) {
      if ("reason" in answer) continue;
      const endpoint = this.#endpoints.get(answer.url);
      const { atMonotonicMs } = answer;
      if (endpoint === undefined) this.#endpoints.set(answer.url, { latest: answer, earlier: [answer] });
      else if (atMonotonicMs > endpoint.latest.atMonotonicMs) {
        if (hasRestarted(endpoint.latest, answer)) endpoint.earlier = [];
        endpoint.latest = answer;
        this.#keep(endpoint, answer);
      } else continue;
      for (const mark of this.#marks) {
        if (atMonotonicMs >= mark.atMonotonicMs && !mark.bases.has(answer.url)) mark.bases.set(answer.url, answer);
      }
    }
  }

  /** `freshMs`: an Envoy that was last heard of longer ago is not expected to go on reporting. Call `drop` when done. */
  mark(atMonotonicMs: number, freshMs: number): Mark {
    const fresh = [...this.#endpoints].filter(([, { latest }]) => atMonotonicMs - latest.atMonotonicMs <= freshMs);
    const mark = { atMonotonicMs, bases: new Map(), expected: new Set(fresh.map(([url]) => url)) };
    this.#marks.add(mark);
    return mark;
  }

  drop(mark: Mark): void {
    this.#marks.delete(mark);
  }

  /** True while no Envoy has been heard of within `gapMs`. */
  isBlind(nowMonotonicMs: number, gapMs: number): boolean {
    for (const { latest } of this.#endpoints.values()) if (nowMonotonicMs - latest.atMonotonicMs <= gapMs) return false;
    return true;
  }

  /** Names of the nodes that have been heard of within `gapMs`. */
  heardNodes(nowMonotonicMs: number, gapMs: number): Set<string> {
    const fresh = [...this.#endpoints.values()].filter(({ latest }) => nowMonotonicMs - latest.atMonotonicMs <= gapMs);
    return new Set(fresh.flatMap(({ latest }) => (latest.node === null ? [] : [latest.node])));
  }

  /** What happened since the mark. */
  since(mark: Mark, targets: readonly string[], objective: Objective | undefined, only: NodeFilter): Metrics {
    const spans: [EnvoyReading, EnvoyReading][] = [];
    for (const [url, { latest }] of this.#endpoints) {
      const base = mark.bases.get(url);
      if (base !== undefined && only(latest.node)) spans.push([base, latest]);
    }
    return sum(spans, targets, objective);
  }

  /** What happened up to now over at most the look-back; null when nothing is known of it. */
  lookBack(targets: readonly string[], objective: Objective | undefined, only: NodeFilter): Metrics | null {
    const spans: [EnvoyReading, EnvoyReading][] = [];
    for (const { latest, earlier } of this.#endpoints.values()) {
      const [oldest] = earlier;
      if (oldest !== undefined && oldest !== latest && only(latest.node)) spans.push([oldest, latest]);
    }
    return spans.length === 0 ? null : sum(spans, targets, objective);
  }

  /** Who of the Envoys that count has been heard of since the mark and within `gapMs`, and who was expected to be and was not. */
  heard(mark: Mark, nowMonotonicMs: number, gapMs: number, only: NodeFilter): { reporting: number; silent: string[] } {
    let reporting = 0;
    const silent: string[] = [];
    for (const [url, { latest }] of this.#endpoints) {
      if (!only(latest.node)) continue;
      const agoMs = nowMonotonicMs - Math.max(latest.atMonotonicMs, mark.atMonotonicMs);
      if (agoMs > gapMs && mark.expected.has(url)) silent.push(latest.node ?? url);
      else if (agoMs <= gapMs && latest.atMonotonicMs >= mark.atMonotonicMs) reporting += 1;
    }
    return { reporting, silent };
  }

  #keep(endpoint: Endpoint, reading: EnvoyReading): void {
    const { earlier } = endpoint;
    const newest = earlier.at(-1);
    if (newest !== undefined && reading.atMonotonicMs - newest.atMonotonicMs < this.#lookBackMs / KEPT_READINGS) return;
    earlier.push(reading);
    while (earlier.length > 1 && reading.atMonotonicMs - earlier[0]!.atMonotonicMs > this.#lookBackMs) earlier.shift();
  }
}

function sum(
  spans: readonly [EnvoyReading, EnvoyReading][],
  targets: readonly string[],
  objective: Objective | undefined,
): Metrics {
  const total = { ...NOTHING_SEEN };
  const bins = new Map<number, Bin>();
  for (const [base, latest] of spans) {
    const restarted = base !== latest && hasRestarted(base, latest);
    for (const target of targets) {
      const now = latest.clusters.get(target)?.stats;
      if (now === undefined) continue;
      const then = restarted ? undefined : base.clusters.get(target)?.stats;
      const gain = (after: number, before = 0): number => Math.max(0, after - before);
      const requests = gain(now.completed, then?.completed);
      total.requests += requests;
      const failed = Math.max(gain(now.errors5xx, then?.errors5xx), gain(now.ejected, then?.ejected));
      total.failed += Math.min(requests, failed);
      for (const bin of now.latency.values()) {
        const count = gain(bin.count, then?.latency.get(bin.lowMs)?.count);
        if (count > 0) bins.set(bin.lowMs, { ...bin, count: count + (bins.get(bin.lowMs)?.count ?? 0) });
      }
    }
  }
  const limitMs = objective?.latencyMs ?? null;
  for (const { lowMs, widthMs, count } of bins.values()) {
    total.timed += count;
    if (limitMs === null || lowMs + widthMs <= limitMs) continue;
    // A bin that lies across the limit counts in part; responses spread evenly in it.
    total.slow += lowMs >= limitMs ? count : (count * (lowMs + widthMs - limitMs)) / widthMs;
  }
  total.quantileMs = quantile(bins.values(), objective?.quantile ?? 0.99);
  return total;
}
