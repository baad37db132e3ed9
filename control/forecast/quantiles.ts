/**
 * Quantiles of the next steps: a value per level and step, in memory that they share with the other services of an answer.
 */
export class Quantiles {
  readonly levels: number;
  readonly steps: number;
  readonly #block: Float64Array;
  readonly #from: number;

  /** @param block holds [level][step] from index `from` on; whoever hands it over does not write to it again */
  constructor(block: Float64Array, from: number, levels: number, steps: number) {
    if (from < 0 || from + levels * steps > block.length)
      throw new RangeError(`${levels} × ${steps} values from ${from} on in a block of ${block.length}`);
    this.#block = block;
    this.#from = from;
    this.levels = levels;
    this.steps = steps;
  }

  /** A copy of rows of one length, one per level. */
  static of(rows: readonly ArrayLike<number>[]): Quantiles {
    const steps = rows[0]?.length ?? 0;
    const block = new Float64Array(rows.length * steps);
    for (const [level, row] of rows.entries()) {
      if (row.length !== steps) throw new RangeError(`a row of ${row.length} steps beside one of ${steps}`);
      block.set(row, level * steps);
    }
    return new Quantiles(block, 0, rows.length, steps);
  }

  /** @param level, step counted from 0; NaN outside */
  at(level: number, step: number): number {
    if (level < 0 || level >= this.levels || step < 0 || step >= this.steps) return Number.NaN;
    return this.#block[this.#from + level * this.steps + step]!;
  }

  /** Per level its steps, as copies: whoever keeps them does not keep the whole block. */
  rows(): Float64Array[] {
    return Array.from({ length: this.levels }, (_, level) => {
      const start = this.#from + level * this.steps;
      return this.#block.slice(start, start + this.steps);
    });
  }
}
