import { z } from "zod";

/**
 * How a model's inputs were distributed when it was trained: per feature the counts between ascending edges. What is served is held
 * against it (control/forecast/watch). Written into the manifest by both training pipelines.
 */
export const featureStatisticsSchema = z.object({
  version: z.literal(1),
  /** Rows that were counted. */
  rows: z.number().int().positive(),
  features: z
    .array(
      z
        .object({
          name: z.string(),
          /** Ascending, finite. Bin i holds edges[i − 1] < value ≤ edges[i]; the first and the last bin are open. */
          edges: z.array(z.number()).min(1).max(63),
          /** One more than edges. */
          counts: z.array(z.number().int().nonnegative()),
          /** Rows without a value. */
          missing: z.number().int().nonnegative(),
        })
        .refine(({ edges, counts }) => counts.length === edges.length + 1, "counts must be one more than edges")
        .refine(({ edges }) => edges.every((edge, i) => i === 0 || edge > edges[i - 1]!), "edges must ascend"),
    )
    .max(512),
});

export type FeatureStatistics = z.infer<typeof featureStatisticsSchema>;

/** Bins per feature. Ten equally full ones are what the population stability index is defined on. */
const BINS = 10;

/**
 * Counts rows between the deciles of each feature. Where values repeat (a clipped feature), bins of one value merge.
 * @param data row-major @param stride numbers per row, of which the first `names.length` are features
 * @param skip features that follow from the clock alone: a short span of serving never looks like a year of training there
 */
export function featureStatistics(
  data: Float32Array,
  stride: number,
  names: readonly string[],
  skip: ReadonlySet<string> = new Set(),
): FeatureStatistics {
  const rows = Math.floor(data.length / stride);
  const features: FeatureStatistics["features"] = [];
  for (const [column, name] of names.entries()) {
    if (skip.has(name)) continue;
    const values = new Float32Array(rows);
    let known = 0;
    for (let row = 0; row < rows; row++) {
      const value = data[row * stride + column]!;
      if (!Number.isNaN(value)) values[known++] = value;
    }
    if (known === 0) continue;
    const sorted = values.subarray(0, known).sort();
    const edges: number[] = [];
    for (let bin = 1; bin < BINS; bin++) {
      const edge = sorted[Math.floor((bin * known) / BINS)]!;
      if (edges.length === 0 || edge > edges.at(-1)!) edges.push(edge);
    }
    const counts = edges.map(() => 0);
    counts.push(0);
    for (const value of sorted) counts[binOf(edges, value)]!++;
    features.push({ name, edges, counts, missing: rows - known });
  }
  return { version: 1, rows, features };
}

/** The bin of a value: the number of edges below it. */
export function binOf(edges: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (edges[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
