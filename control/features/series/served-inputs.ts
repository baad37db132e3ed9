import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SeededRandom } from "../seeded-random.ts";

export interface ServedInputsOptions {
  schemaHash: string;
  /** Names of the columns of `features`, in their order. */
  columns: readonly string[];
  /** Rows kept. Default 4,096 (about 1 MB); sensible 500 … 100,000. */
  maxRows?: number;
  seed?: number;
}

/**
 * A bounded sample of the rows that a server asked its model with (reservoir sampling, Vitter's algorithm R): every row had the same
 * chance to be in it. `ballast train --served DIR` compares their distribution with that of the training files.
 */
export class ServedInputs {
  readonly #options: ServedInputsOptions;
  readonly #random: SeededRandom;
  readonly #rows: Float32Array;
  readonly #maxRows: number;
  #seen = 0;

  constructor(options: ServedInputsOptions) {
    this.#options = options;
    this.#maxRows = options.maxRows ?? 4_096;
    this.#random = new SeededRandom(options.seed ?? 1);
    this.#rows = new Float32Array(this.#maxRows * options.columns.length);
  }

  get rows(): number {
    return Math.min(this.#seen, this.#maxRows);
  }

  /** One origin's inputs, [horizon × columns]: one of its horizon steps, drawn at random, is offered to the sample. */
  observe(features: Float32Array): void {
    const width = this.#options.columns.length;
    const steps = features.length / width;
    if (!Number.isInteger(steps) || steps < 1) throw new Error(`${features.length} values are no rows of ${width}`);
    const step = this.#random.integer(0, steps - 1);
    const place = this.#seen < this.#maxRows ? this.#seen : this.#random.integer(0, this.#seen);
    this.#seen++;
    if (place < this.#maxRows) this.#rows.set(features.subarray(step * width, (step + 1) * width), place * width);
  }

  /** Leaves served.bin (float32, row-major) and served.json (schema, columns, counts) in a folder; the second one last. */
  async write(dir: string): Promise<void> {
    const { schemaHash, columns } = this.#options;
    await mkdir(dir, { recursive: true });
    const bytes = new Uint8Array(this.#rows.slice(0, this.rows * columns.length).buffer);
    const about = { schema_hash: schemaHash, columns, rows: this.rows, seen: this.#seen };
    for (const [name, content] of [
      ["served.bin", bytes],
      ["served.json", `${JSON.stringify(about)}\n`],
    ] as const) {
      await writeFile(join(dir, `${name}.partial`), content);
      await rename(join(dir, `${name}.partial`), join(dir, name));
    }
  }
}
