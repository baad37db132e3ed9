/**
 * One service's load with prefix sums, so that the mean of any block of steps is O(1). Missing steps are NaN and count
 * neither in the sum nor in the number of values.
 */
export class SeriesWindow {
  readonly values: Float64Array;
  readonly #sums: Float64Array;
  readonly #counts: Float64Array;

  /** Negative and non-finite values count as missing. */
  constructor(values: ArrayLike<number>) {
    this.values = Float64Array.from(values, (value) => (Number.isFinite(value) && value >= 0 ? value : Number.NaN));
    this.#sums = new Float64Array(values.length + 1);
    this.#counts = new Float64Array(values.length + 1);
    for (let i = 0; i < values.length; i++) {
      const value = this.values[i]!;
      const valid = !Number.isNaN(value);
      this.#sums[i + 1] = this.#sums[i]! + (valid ? value : 0);
      this.#counts[i + 1] = this.#counts[i]! + (valid ? 1 : 0);
    }
  }

  /** Number of valid values with index in [from, to). Indexes outside the series hold nothing. */
  count(from: number, to: number): number {
    const a = Math.max(0, from);
    const b = Math.min(this.values.length, to);
    return b <= a ? 0 : this.#counts[b]! - this.#counts[a]!;
  }

  /** Mean of the valid values with index in [from, to); NaN when there is none. */
  mean(from: number, to: number): number {
    const count = this.count(from, to);
    if (count === 0) return Number.NaN;
    const sum = this.#sums[Math.min(this.values.length, to)]! - this.#sums[Math.max(0, from)]!;
    // Differences of prefix sums can fall a rounding error below zero.
    return Math.max(0, sum / count);
  }

  /** Index of the first valid value in [from, to), or `to` when there is none. */
  firstValid(from: number, to: number): number {
    let index = Math.max(0, from);
    while (index < to && Number.isNaN(this.values[index])) index++;
    return Math.min(index, to);
  }
}
