/**
 * Percentile bootstrap (Efron) of a statistic over groups. Groups are drawn with replacement as wholes, since errors
 * inside one are dependent: here a group is a window in time with all its series.
 */
export function bootstrapInterval<T>(
  groups: readonly (readonly T[])[],
  statistic: (sample: T[]) => number,
  options: { draws?: number; seed?: number; level?: number } = {},
): [number, number] {
  const { draws = 2000, seed = 1, level = 0.95 } = options;
  if (groups.length === 0) throw new Error("nothing to draw from");
  const random = mulberry32(seed);
  const results = new Float64Array(draws);
  for (let d = 0; d < draws; d++) {
    const sample: T[] = [];
    for (let g = 0; g < groups.length; g++) sample.push(...groups[Math.floor(random() * groups.length)]!);
    results[d] = statistic(sample);
  }
  results.sort();
  const at = (p: number) => results[Math.min(draws - 1, Math.max(0, Math.round(p * (draws - 1))))]!;
  return [at((1 - level) / 2), at((1 + level) / 2)];
}

/** mulberry32 (T. Ettinger, public domain): small, seeded, good enough to draw windows. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
