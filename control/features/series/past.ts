/**
 * A series as the builder sees it, with what is computed once: gaps filled, logarithms, running scales. Every derived value at
 * step i depends on steps ≤ i only, so an origin in the middle of a long series sees what it would have seen at that time.
 */
export class Past {
  readonly values: Float64Array;
  readonly logs: Float64Array;
  readonly season: number;
  readonly #absolute: Float64Array;
  readonly #differences: Float64Array;
  readonly #logDifferences: Float64Array;

  /** `raw` may hold NaN for steps without a reading: the last reading stands in for them (0 before the first). */
  constructor(raw: ArrayLike<number>, season: number) {
    const n = raw.length;
    this.season = season;
    this.values = new Float64Array(n);
    this.logs = new Float64Array(n);
    this.#absolute = new Float64Array(n + 1);
    this.#differences = new Float64Array(n + 1);
    this.#logDifferences = new Float64Array(n + 1);
    let last = 0;
    for (let i = 0; i < n; i++) {
      const value = raw[i]!;
      if (Number.isFinite(value)) last = value;
      this.values[i] = last;
      this.#absolute[i + 1] = this.#absolute[i]! + Math.abs(last);
      // The floor keeps the logarithm finite at nought; it follows the mean so that the unit of the series plays no part.
      const floor = Math.max(Number.MIN_VALUE, (FLOOR_SHARE * this.#absolute[i + 1]!) / (i + 1));
      this.logs[i] = Math.log(Math.max(last, floor));
      const before = i - season;
      this.#differences[i + 1] = this.#differences[i]! + (before < 0 ? 0 : Math.abs(last - this.values[before]!));
      this.#logDifferences[i + 1] =
        this.#logDifferences[i]! + (before < 0 ? 0 : Math.abs(this.logs[i]! - this.logs[before]!));
    }
  }

  get length(): number {
    return this.values.length;
  }

  /** Mean |y_t − y_{t−season}| of the steps before `origin`: the denominator of MASE. Positive also for a constant series. */
  scale(origin: number): number {
    const mean = this.#absolute[origin]! / Math.max(1, origin);
    return positive(this.#differences[origin]! / (origin - this.season), 1e-6 * mean);
  }

  /** The same of the logarithms. */
  logScale(origin: number): number {
    return positive(this.#logDifferences[origin]! / (origin - this.season), 1e-6);
  }
}

const FLOOR_SHARE = 1e-3;

function positive(value: number, least: number): number {
  return Math.max(Number.isFinite(value) ? value : 0, least, 1e-12);
}
