/**
 * Regular load series per service: requests per second, one value per step, aligned to multiples of `stepMs` since the Unix
 * epoch. Missing steps are NaN. Bounded: at most `maxSteps` steps are kept, the oldest fall out.
 */
export class LoadHistory {
  readonly stepMs: number;
  readonly maxSteps: number;
  readonly #series = new Map<string, { startMs: number; values: number[]; highest: number; rewrites: number }>();

  constructor(options: { stepMs: number; maxSteps?: number }) {
    this.stepMs = options.stepMs;
    this.maxSteps = options.maxSteps ?? 20_000;
  }

  get services(): string[] {
    return [...this.#series.keys()];
  }

  /** Appends (or overwrites) the value of the step that starts at `stepStartMs`; a gap before it is filled with NaN. */
  append(service: string, stepStartMs: number, rps: number): void {
    const aligned = Math.floor(stepStartMs / this.stepMs) * this.stepMs;
    let entry = this.#series.get(service);
    if (entry === undefined) {
      entry = { startMs: aligned, values: [], highest: 0, rewrites: 0 };
      this.#series.set(service, entry);
    }
    let index = (aligned - entry.startMs) / this.stepMs;
    if (index < 0) return;
    if (index - entry.values.length > this.maxSteps) {
      entry.startMs = aligned;
      entry.values = [];
      entry.rewrites++;
      index = 0;
    }
    if (index < entry.values.length - 1 && !Object.is(entry.values[index], rps)) entry.rewrites++;
    while (entry.values.length < index) entry.values.push(Number.NaN);
    entry.values[index] = rps;
    if (rps > entry.highest && rps < Number.POSITIVE_INFINITY) entry.highest = rps;
    const surplus = entry.values.length - this.maxSteps;
    if (surplus > 0) {
      entry.values.splice(0, surplus);
      entry.startMs += surplus * this.stepMs;
    }
  }

  /** Steps that ended at or before `nowMs`, oldest first; `startMs` is the start of values[0]. */
  upTo(service: string, nowMs: number): { startMs: number; values: readonly number[] } {
    const entry = this.#series.get(service);
    if (entry === undefined) return { startMs: 0, values: [] };
    const complete = Math.max(0, Math.floor((nowMs - entry.startMs) / this.stepMs));
    return {
      startMs: entry.startMs,
      values: complete >= entry.values.length ? entry.values : entry.values.slice(0, complete),
    };
  }

  /**
   * Exactly the last `steps` complete steps before `nowMs`, oldest first: the last one ends at the newest multiple of
   * `stepMs` not after `nowMs`. NaN where nothing was observed, also for steps after the newest observation.
   */
  tail(service: string, nowMs: number, steps: number): Float64Array {
    const out = new Float64Array(steps);
    this.tailInto(service, nowMs, out);
    return out;
  }

  /** The same, over all of `out`. */
  tailInto(service: string, nowMs: number, out: Float64Array): void {
    const entry = this.#series.get(service);
    if (entry === undefined) {
      out.fill(Number.NaN);
      return;
    }
    const { values } = entry;
    const endIndex = Math.floor(nowMs / this.stepMs) - entry.startMs / this.stepMs;
    const first = endIndex - out.length;
    const from = Math.min(Math.max(0, first), endIndex);
    const to = Math.max(from, Math.min(endIndex, values.length));
    out.fill(Number.NaN, 0, from - first);
    for (let i = from; i < to; i++) out[i - first] = values[i]!;
    out.fill(Number.NaN, to - first);
  }

  /** Highest load ever appended for a service, also by steps that have fallen out since; 0 when there was none. */
  highest(service: string): number {
    return this.#series.get(service)?.highest ?? 0;
  }

  /**
   * Where the series of a service stands, for whoever keeps a copy of it: a copy up to `endMs` holds as long as `rewrites` and its last
   * value are the same. Null for an unknown service.
   */
  standing(service: string): { startMs: number; endMs: number; rewrites: number } | null {
    const entry = this.#series.get(service);
    if (entry === undefined || entry.values.length === 0) return null;
    const { startMs, rewrites } = entry;
    return { startMs, endMs: startMs + entry.values.length * this.stepMs, rewrites };
  }

  /** The value of the step that starts at `stepStartMs`, a multiple of the step; NaN where there is none. */
  at(service: string, stepStartMs: number): number {
    const entry = this.#series.get(service);
    return entry?.values[(stepStartMs - entry.startMs) / this.stepMs] ?? Number.NaN;
  }

  /** The newest reading among the last `steps` complete steps before `nowMs`; NaN where there is none. */
  newest(service: string, nowMs: number, steps: number): number {
    const entry = this.#series.get(service);
    if (entry === undefined) return Number.NaN;
    const end = Math.floor(nowMs / this.stepMs) - entry.startMs / this.stepMs;
    for (let i = Math.min(end, entry.values.length) - 1; i >= Math.max(0, end - steps); i--)
      if (!Number.isNaN(entry.values[i]!)) return entry.values[i]!;
    return Number.NaN;
  }

  /** Start of the oldest and end of the newest step held, or null for an unknown service. */
  span(service: string): { startMs: number; endMs: number } | null {
    const entry = this.#series.get(service);
    if (entry === undefined || entry.values.length === 0) return null;
    return { startMs: entry.startMs, endMs: entry.startMs + entry.values.length * this.stepMs };
  }
}
