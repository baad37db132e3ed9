import { Histogram } from "./histogram.ts";

export interface TargetFigures {
  base: number;
  planned: number;
  /** Share of the service's attributed requests; null without any. */
  actual: number | null;
  requests: number;
  errors: number;
  p50_ms: number | null;
  p99_ms: number | null;
}

export interface ServiceFigures {
  requests: number;
  /** Includes those that no target can be blamed for: the client got no answer at all. */
  errors: number;
  targets: Record<string, TargetFigures>;
}

class Bucket {
  second = -1;
  requests = 0;
  errors = 0;
  readonly latency = new Histogram();

  add(ok: boolean, latencyMs: number): void {
    this.requests++;
    if (!ok) this.errors++;
    this.latency.add(latencyMs);
  }

  clear(second: number): void {
    this.second = second;
    this.requests = 0;
    this.errors = 0;
    this.latency.clear();
  }
}

/** Totals and the last seconds of one target. */
class TargetTally {
  readonly total = new Bucket();
  readonly ring: Bucket[];
  plannedSum = 0;

  constructor(windowSeconds: number) {
    this.ring = Array.from({ length: windowSeconds }, () => new Bucket());
  }

  bucket(second: number): Bucket {
    const bucket = this.ring[second % this.ring.length]!;
    if (bucket.second !== second) bucket.clear(second);
    return bucket;
  }
}

/**
 * What the client saw of one service: totals since counting began, and a sliding window of the last seconds.
 * Bounded: one histogram per target and second of the window.
 */
export class Tally {
  readonly windowSeconds: number;
  readonly #targets = new Map<string, TargetTally>();
  readonly #base: ReadonlyMap<string, number>;
  #planned: ReadonlyMap<string, number>;
  #requests = 0;
  #errors = 0;
  #counting = false;

  constructor(base: ReadonlyMap<string, number>, windowSeconds: number) {
    this.windowSeconds = windowSeconds;
    this.#base = base;
    this.#planned = base;
    for (const name of base.keys()) this.#targets.set(name, new TargetTally(windowSeconds));
  }

  /** Totals begin: everything before is forgotten, and only requests sent from now on are to be added as counted. */
  startCounting(): void {
    this.#counting = true;
  }

  /** Shares in force for requests that are sent from now on. */
  plan(shares: ReadonlyMap<string, number>): void {
    this.#planned = shares;
  }

  /** The shares in force now, to be handed back with the answer: they may have changed when it comes. */
  get planned(): ReadonlyMap<string, number> {
    return this.#planned;
  }

  /** `target` is null when nothing says which one failed. `counted`: sent since counting began. */
  add(answer: {
    target: string | null;
    ok: boolean;
    latencyMs: number;
    second: number;
    planned: ReadonlyMap<string, number>;
    counted: boolean;
  }): void {
    const tally = answer.target === null ? undefined : this.#targets.get(answer.target);
    tally?.bucket(answer.second).add(answer.ok, answer.latencyMs);
    if (!answer.counted || !this.#counting) return;
    this.#requests++;
    if (!answer.ok) this.#errors++;
    tally?.total.add(answer.ok, answer.latencyMs);
    for (const [name, share] of answer.planned) {
      const target = this.#targets.get(name);
      if (target !== undefined) target.plannedSum += share;
    }
  }

  /**
   * Since counting began. `planned` is the mean of the weights in force over the service's requests, so that it compares with
   * `actual` although weights changed on the way.
   */
  totals(): ServiceFigures {
    const attributed = sum(this.#targets.values(), (tally) => tally.total.requests);
    return {
      requests: this.#requests,
      errors: this.#errors,
      targets: this.#figures((name, tally) => {
        const planned = this.#requests === 0 ? (this.#planned.get(name) ?? 0) : tally.plannedSum / this.#requests;
        return figures(tally.total, planned, attributed);
      }),
    };
  }

  /** The `windowSeconds` whole seconds before `second`; `planned` is what is in force. */
  recent(second: number): ServiceFigures {
    const merged = new Map<string, Bucket>();
    for (const [name, tally] of this.#targets) {
      const bucket = new Bucket();
      for (const part of tally.ring) {
        if (part.second < second - this.windowSeconds || part.second >= second) continue;
        bucket.requests += part.requests;
        bucket.errors += part.errors;
        bucket.latency.addAll(part.latency);
      }
      merged.set(name, bucket);
    }
    const attributed = sum(merged.values(), (bucket) => bucket.requests);
    return {
      requests: attributed,
      errors: sum(merged.values(), (bucket) => bucket.errors),
      targets: this.#figures((name) => figures(merged.get(name)!, this.#planned.get(name) ?? 0, attributed)),
    };
  }

  #figures(of: (name: string, tally: TargetTally) => Omit<TargetFigures, "base">): Record<string, TargetFigures> {
    const result: Record<string, TargetFigures> = {};
    for (const [name, tally] of this.#targets) result[name] = { base: this.#base.get(name) ?? 0, ...of(name, tally) };
    return result;
  }
}

function figures(bucket: Bucket, planned: number, attributed: number): Omit<TargetFigures, "base"> {
  return {
    planned: round(planned, 4),
    actual: attributed === 0 ? null : round(bucket.requests / attributed, 4),
    requests: bucket.requests,
    errors: bucket.errors,
    p50_ms: milliseconds(bucket.latency.quantile(0.5)),
    p99_ms: milliseconds(bucket.latency.quantile(0.99)),
  };
}

function milliseconds(ms: number | null): number | null {
  return ms === null ? null : round(ms, 1);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function sum<T>(items: Iterable<T>, of: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
}
