export interface PastOptions {
  /** Steps that it may grow to by `append`. Default: those given at the start. */
  capacity?: number;
  /** Number of the first step in a count that goes on when a past is read anew: what lies on a grid of steps lies there again. Default 0. */
  firstStep?: number;
  /** Steps, from the newest back, whose scale can be asked for and that can be taken back. Default: all. */
  recentSteps?: number;
}

/**
 * A series as the builder sees it, with what is computed once: gaps filled, logarithms, running scales. Every derived value at
 * step i depends on steps ≤ i only, so an origin in the middle of a long series sees what it would have seen at that time.
 */
export class Past {
  /** Only the first `length` are of the series. */
  readonly values: Float64Array;
  readonly logs: Float64Array;
  readonly season: number;
  readonly firstStep: number;
  #length = 0;
  /** Of the steps before i, at place i modulo its size: Σ |y|, Σ |y_t − y_{t−season}|, and the latter of the logarithms. */
  readonly #sums: Float64Array;
  readonly #places: number;
  #cutTo = Number.POSITIVE_INFINITY;

  /** `raw` may hold NaN for steps without a reading: the last reading stands in for them (0 before the first). */
  constructor(raw: ArrayLike<number>, season: number, options: PastOptions = {}) {
    const capacity = Math.max(raw.length, options.capacity ?? 0);
    this.season = season;
    this.firstStep = options.firstStep ?? 0;
    this.values = new Float64Array(capacity);
    this.logs = new Float64Array(capacity);
    this.#places = Math.min(capacity, options.recentSteps ?? capacity) + 1;
    this.#sums = new Float64Array(3 * this.#places);
    this.append(raw, 0, raw.length);
  }

  get length(): number {
    return this.#length;
  }

  /** Continues the series with raw[from … to). Throws beyond the capacity. */
  append(raw: ArrayLike<number>, from: number, to: number): void {
    const { values, logs, season } = this;
    const sums = this.#sums;
    if (this.#length + to - from > values.length) throw new Error(`a past of ${values.length} steps is full`);
    let i = this.#length;
    let last = i === 0 ? 0 : values[i - 1]!;
    let place = 3 * (i % this.#places);
    for (let j = from; j < to; j++, i++) {
      const value = raw[j]!;
      if (Number.isFinite(value)) last = value;
      values[i] = last;
      const next = place + 3 === sums.length ? 0 : place + 3;
      const absolute = sums[place]! + Math.abs(last);
      // The floor keeps the logarithm finite at nought; it follows the mean so that the unit of the series plays no part.
      const floor = Math.max(Number.MIN_VALUE, (FLOOR_SHARE * absolute) / (i + 1));
      logs[i] = Math.log(last > floor ? last : floor);
      const before = i - season;
      sums[next] = absolute;
      sums[next + 1] = sums[place + 1]! + (before < 0 ? 0 : Math.abs(last - values[before]!));
      sums[next + 2] = sums[place + 2]! + (before < 0 ? 0 : Math.abs(logs[i]! - logs[before]!));
      place = next;
    }
    this.#length = i;
  }

  /** Takes back the steps from `length` on, at most the recent ones: they will be told anew. */
  truncate(length: number): void {
    if (length > this.#length || this.#length - length >= this.#places)
      throw new Error(`a past of ${this.#length} steps cannot go back to ${length}`);
    if (length === this.#length) return;
    this.#length = length;
    this.#cutTo = Math.min(this.#cutTo, length);
  }

  /** The least length that it was cut to since this was asked last: what was learnt of later steps no longer holds. */
  takeCut(): number {
    const cut = this.#cutTo;
    this.#cutTo = Number.POSITIVE_INFINITY;
    return cut;
  }

  /** Mean |y_t − y_{t−season}| of the steps before `origin`: the denominator of MASE. Positive also for a constant series. */
  scale(origin: number): number {
    const place = this.#placeOf(origin);
    const mean = this.#sums[place]! / Math.max(1, origin);
    return positive(this.#sums[place + 1]! / (origin - this.season), 1e-6 * mean);
  }

  /** The same of the logarithms. */
  logScale(origin: number): number {
    return positive(this.#sums[this.#placeOf(origin) + 2]! / (origin - this.season), 1e-6);
  }

  #placeOf(origin: number): number {
    if (origin > this.#length || this.#length - origin >= this.#places)
      throw new Error(`the scale at ${origin} is not among the recent ones of ${this.#length}`);
    return 3 * (origin % this.#places);
  }
}

/** The readings of a series with its gaps filled as a past fills them. */
export function gapsFilled(raw: ArrayLike<number>): Float64Array {
  let last = 0;
  return Float64Array.from(raw, (value) => {
    if (Number.isFinite(value)) last = value;
    return last;
  });
}

const FLOOR_SHARE = 1e-3;

function positive(value: number, least: number): number {
  return Math.max(Number.isFinite(value) ? value : 0, least, 1e-12);
}
