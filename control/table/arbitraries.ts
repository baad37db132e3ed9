import fc from "fast-check";
import { PPM } from "../plan/plan.ts";

/** Generators for the tests of this folder. */

export const slotCounts = fc.constantFrom(256, 512, 1024, 4096);

/** Shares in ppm that sum to PPM exactly; some are zero, some tiny. */
export function sharesOf(targets: number): fc.Arbitrary<number[]> {
  const raw = fc.oneof(
    { weight: 1, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 40 }) },
    { weight: 4, arbitrary: fc.integer({ min: 1, max: 100_000 }) },
  );
  return fc.array(raw, { minLength: targets, maxLength: targets }).map(toPpm);
}

export const shares = fc.integer({ min: 1, max: 12 }).chain(sharesOf);

function toPpm(raw: number[]): number[] {
  const sum = raw.reduce((a, b) => a + b, 0);
  if (sum === 0) return raw.map((_, i) => (i === 0 ? PPM : 0));
  const ppm = raw.map((value) => Math.floor((value * PPM) / sum));
  const largest = ppm.indexOf(Math.max(...ppm));
  ppm[largest]! += PPM - ppm.reduce((a, b) => a + b, 0);
  return ppm;
}

/** How often each of `targets` indexes appears. */
export function countsOf(array: Iterable<number>, targets: number): number[] {
  const counts = new Array<number>(targets).fill(0);
  for (const index of array) counts[index]! += 1;
  return counts;
}
