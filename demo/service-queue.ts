/**
 * A queue with c servers and a fixed mean service time (G/G/c, first come first served), as arithmetic on one clock: a request
 * that arrives now ends when the server that is free first has worked it off. The capacity is exactly c / service time; past
 * it the wait grows without limit, and a request that would wait longer than `maxWaitMs` is refused.
 */
export class ServiceQueue {
  readonly servers: number;
  readonly serviceMs: number;
  readonly maxWaitMs: number;
  /** When each server has done what it took on so far. */
  readonly #freeAtMs: Float64Array;

  /** About 20 ms of service time for every capacity: what differs between targets is how many they serve at once. */
  static readonly TYPICAL_SERVICE_MS = 20;

  constructor(options: { capacityRps: number; maxWaitMs?: number }) {
    if (!(options.capacityRps > 0)) throw new Error(`a capacity must be positive, not ${options.capacityRps}`);
    this.servers = Math.max(1, Math.round((options.capacityRps * ServiceQueue.TYPICAL_SERVICE_MS) / 1000));
    this.serviceMs = (this.servers * 1000) / options.capacityRps;
    this.maxWaitMs = options.maxWaitMs ?? 2000;
    this.#freeAtMs = new Float64Array(this.servers);
  }

  /** Time at which the request that arrives at `nowMs` is answered, or null when it is refused. `work` scales its service time. */
  admit(nowMs: number, work = 1): number | null {
    let first = 0;
    for (let i = 1; i < this.servers; i++) if (this.#freeAtMs[i]! < this.#freeAtMs[first]!) first = i;
    const startMs = Math.max(nowMs, this.#freeAtMs[first]!);
    if (startMs - nowMs > this.maxWaitMs) return null;
    const endMs = startMs + this.serviceMs * work;
    this.#freeAtMs[first] = endMs;
    return endMs;
  }
}
