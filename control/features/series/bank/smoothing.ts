/**
 * Simple exponential smoothing of a span by several α at once: Σ (1−α)^j x_{end−1−j}, not yet divided by the sum of its weights
 * (`weightTotals`). Horner's rule from the oldest value on, eight α side by side: the chain of one α alone would wait for itself.
 *
 * @param keeps 1 − α, each 0 … below 1; their number is a multiple of 8 (`paddedKeeps`)
 */
export function smoothSpan(
  values: Float64Array,
  start: number,
  end: number,
  keeps: Float64Array,
  out: Float64Array,
  at: number,
): void {
  for (let i = 0; i < keeps.length; i += 8) {
    const k0 = keeps[i]!;
    const k1 = keeps[i + 1]!;
    const k2 = keeps[i + 2]!;
    const k3 = keeps[i + 3]!;
    const k4 = keeps[i + 4]!;
    const k5 = keeps[i + 5]!;
    const k6 = keeps[i + 6]!;
    const k7 = keeps[i + 7]!;
    let s0 = 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    let s4 = 0;
    let s5 = 0;
    let s6 = 0;
    let s7 = 0;
    for (let j = start; j < end; j++) {
      const value = values[j]!;
      s0 = value + k0 * s0;
      s1 = value + k1 * s1;
      s2 = value + k2 * s2;
      s3 = value + k3 * s3;
      s4 = value + k4 * s4;
      s5 = value + k5 * s5;
      s6 = value + k6 * s6;
      s7 = value + k7 * s7;
    }
    out[at + i] = s0;
    out[at + i + 1] = s1;
    out[at + i + 2] = s2;
    out[at + i + 3] = s3;
    out[at + i + 4] = s4;
    out[at + i + 5] = s5;
    out[at + i + 6] = s6;
    out[at + i + 7] = s7;
  }
}

/** 1 − α for each α, filled up with the last value. */
export function paddedKeeps(alphas: readonly number[]): Float64Array {
  const keeps = new Float64Array(8 * Math.ceil(alphas.length / 8)).fill(0);
  for (const [i, alpha] of alphas.entries()) keeps[i] = 1 - alpha;
  return keeps;
}

/** Σ (1−α)^j for j below `length`, per keep. */
export function weightTotals(keeps: Float64Array, length: number): Float64Array {
  return keeps.map((keep) => (keep === 1 ? length : (1 - keep ** length) / (1 - keep)));
}
