import type { SeededRandom } from "../seeded-random.ts";

/** Mean steps between injected shifts. */
const STEPS_PER_SHIFT = 300;
const MAX_SHARE = 0.5;

/**
 * A copy of a series with level shifts injected: each changes the level by a factor 1 + d (d from Student's t with three
 * degrees of freedom × 0.05, at most ±0.5), rises over 1 … 150 steps, and six in ten fall back after 7 … 400. A model that
 * saw one day without incidents would otherwise take every departure for noise and return to the cycle too soon.
 * @param from first step that a shift may begin at. Shifts before a held-out span would raise its scale and so make its errors small.
 */
export function withLevelShifts(values: ArrayLike<number>, random: SeededRandom, from = 0): Float64Array {
  const n = values.length;
  const copy = Float64Array.from(values);
  const count = poisson((n - from) / STEPS_PER_SHIFT, random);
  for (let s = 0; s < count; s++) {
    const start = random.integer(from, n - 1);
    const share = Math.max(-MAX_SHARE, Math.min(MAX_SHARE, 0.05 * studentT3(random)));
    const rise = Math.exp(random.uniform(0, 5));
    const end = random.next() < 0.6 ? start + Math.exp(random.uniform(2, 6)) : Number.POSITIVE_INFINITY;
    for (let t = start + 1; t < n; t++) {
      const up = Math.min(1, (t - start) / rise);
      const down = Math.max(0, Math.min(1, (t - end) / rise));
      if (down === 1) break;
      copy[t]! *= 1 + share * up * (1 - down);
    }
  }
  return copy;
}

/** Knuth's method in logarithms; the mean is the length of a series over 300, so a few hundred draws at most. */
function poisson(mean: number, random: SeededRandom): number {
  let sum = 0;
  for (let count = 0; ; count++) {
    sum -= Math.log(1 - random.next());
    if (sum > mean) return count;
  }
}

function studentT3(random: SeededRandom): number {
  let squares = 0;
  for (let i = 0; i < 3; i++) squares += random.normal() ** 2;
  return random.normal() / Math.sqrt(squares / 3);
}
