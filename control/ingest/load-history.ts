interface Series {
  startMs: number;
  /** The steps held are `length` readings from `from` on. Memory outside the JavaScript heap, which a collector need not walk. */
  room: Float64Array;
  from: number;
  length: number;
  highest: number;
  rewrites: number;
}

const FIRST_ROOM_STEPS = 64;
/** Copied one by one: a view of them would be garbage, one for each service and step. */
const FEW_STEPS = 16;
/** Of what is held, when memory runs out: room to grow, and at the bound to move along without a copy at each step. */
const ROOM_GROWTH = 1.25;

/**
 * Regular load series per service: requests per second, one value per step, aligned to multiples of `stepMs` since the Unix
 * epoch. Missing steps are NaN. Bounded: at most `maxSteps` steps are kept, the oldest fall out.
 */
export class LoadHistory {
  readonly stepMs: number;
  readonly maxSteps: number;
  readonly #series = new Map<string, Series>();

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
      const room = new Float64Array(Math.min(FIRST_ROOM_STEPS, this.maxSteps));
      entry = { startMs: aligned, room, from: 0, length: 0, highest: 0, rewrites: 0 };
      this.#series.set(service, entry);
    }
    let index = (aligned - entry.startMs) / this.stepMs;
    if (index < 0) return;
    if (index - entry.length > this.maxSteps) {
      entry.startMs = aligned;
      entry.length = 0;
      entry.rewrites++;
      index = 0;
    }
    if (index < entry.length - 1 && !Object.is(entry.room[entry.from + index], rps)) entry.rewrites++;
    if (index >= entry.length) index = this.#extend(entry, index);
    entry.room[entry.from + index] = rps;
    if (rps > entry.highest && rps < Number.POSITIVE_INFINITY) entry.highest = rps;
  }

  /** Holds steps up to `index`, the ones that are new as NaN; lets the oldest go. @returns where that step is then */
  #extend(entry: Series, index: number): number {
    const surplus = Math.max(0, index + 1 - this.maxSteps);
    const gone = Math.min(surplus, entry.length);
    entry.startMs += surplus * this.stepMs;
    entry.from += gone;
    const held = entry.length - gone;
    const length = index + 1 - surplus;
    if (entry.from + length > entry.room.length) {
      const values = entry.room.subarray(entry.from, entry.from + held);
      // What is too small for a while of new steps is replaced, also where moving the steps to its start would do.
      const wanted = Math.ceil(length * ROOM_GROWTH);
      const room = wanted > entry.room.length ? new Float64Array(wanted) : entry.room;
      room.set(values);
      entry.room = room;
      entry.from = 0;
    }
    entry.length = length;
    entry.room.fill(Number.NaN, entry.from + held, entry.from + length);
    return length - 1;
  }

  /** Steps that ended at or before `nowMs`, oldest first; `startMs` is the start of values[0]. */
  upTo(service: string, nowMs: number): { startMs: number; values: readonly number[] } {
    const entry = this.#series.get(service);
    if (entry === undefined) return { startMs: 0, values: [] };
    const complete = Math.max(0, Math.floor((nowMs - entry.startMs) / this.stepMs));
    const { room, from, length } = entry;
    return { startMs: entry.startMs, values: Array.from(room.subarray(from, from + Math.min(complete, length))) };
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

  /** The same, over out[start … end). */
  tailInto(service: string, nowMs: number, out: Float64Array, start = 0, end = out.length): void {
    const entry = this.#series.get(service);
    if (entry === undefined) {
      out.fill(Number.NaN, start, end);
      return;
    }
    const endIndex = Math.floor(nowMs / this.stepMs) - entry.startMs / this.stepMs;
    const first = endIndex - (end - start);
    const from = Math.min(Math.max(0, first), endIndex);
    const to = Math.max(from, Math.min(endIndex, entry.length));
    const shift = start - first;
    out.fill(Number.NaN, start, from + shift);
    if (to - from > FEW_STEPS) out.set(entry.room.subarray(entry.from + from, entry.from + to), from + shift);
    else for (let i = from; i < to; i++) out[i + shift] = entry.room[entry.from + i]!;
    out.fill(Number.NaN, to + shift, end);
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
    if (entry === undefined || entry.length === 0) return null;
    const { startMs, length, rewrites } = entry;
    return { startMs, endMs: startMs + length * this.stepMs, rewrites };
  }

  /** The value of the step that starts at `stepStartMs`, a multiple of the step; NaN where there is none. */
  at(service: string, stepStartMs: number): number {
    const entry = this.#series.get(service);
    if (entry === undefined) return Number.NaN;
    const index = (stepStartMs - entry.startMs) / this.stepMs;
    return index >= 0 && index < entry.length ? (entry.room[entry.from + index] ?? Number.NaN) : Number.NaN;
  }

  /** The newest reading among the last `steps` complete steps before `nowMs`; NaN where there is none. */
  newest(service: string, nowMs: number, steps: number): number {
    const entry = this.#series.get(service);
    if (entry === undefined) return Number.NaN;
    const end = Math.floor(nowMs / this.stepMs) - entry.startMs / this.stepMs;
    for (let i = Math.min(end, entry.length) - 1; i >= Math.max(0, end - steps); i--) {
      const value = entry.room[entry.from + i]!;
      if (!Number.isNaN(value)) return value;
    }
    return Number.NaN;
  }

  /** Start of the oldest and end of the newest step held, or null for an unknown service. */
  span(service: string): { startMs: number; endMs: number } | null {
    const entry = this.#series.get(service);
    if (entry === undefined || entry.length === 0) return null;
    return { startMs: entry.startMs, endMs: entry.startMs + entry.length * this.stepMs };
  }
}
