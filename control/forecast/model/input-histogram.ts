import { binOf, type FeatureStatistics } from "../../features/feature-statistics.ts";

/** Where the bins of each feature of a statistics block lie in one flat list of counts: its bins, then its missing rows. */
export function histogramLayout({ features }: FeatureStatistics): { offsets: number[]; length: number } {
  const offsets: number[] = [];
  let length = 0;
  for (const { counts } of features) {
    offsets.push(length);
    length += counts.length + 1;
  }
  return { offsets, length };
}

/**
 * Counts what a model is fed with, in the bins of its training statistics.
 * @param columnNames of the rows @returns counts as in {@link histogramLayout}
 */
export class InputHistogram {
  readonly #columns: { column: number; edges: Float64Array; at: number }[];
  readonly #length: number;

  /** Features that the rows lack are left out. */
  constructor(statistics: FeatureStatistics, columnNames: readonly string[]) {
    const { offsets, length } = histogramLayout(statistics);
    this.#length = length;
    this.#columns = statistics.features.flatMap(({ name, edges }, i) => {
      const column = columnNames.indexOf(name);
      return column < 0 ? [] : [{ column, edges: Float64Array.from(edges), at: offsets[i]! }];
    });
  }

  /** @param rows row-major @param stride numbers per row @param every of how many rows one is counted */
  count(rows: Float32Array, stride: number, every: number): Uint32Array {
    const counts = new Uint32Array(this.#length);
    for (let row = 0; row * stride < rows.length; row += every) {
      for (const { column, edges, at } of this.#columns) {
        const value = rows[row * stride + column]!;
        counts[at + (Number.isNaN(value) ? edges.length + 1 : binOf(edges, value))]!++;
      }
    }
    return counts;
  }
}
