import { PPM } from "./plan.ts";

/** Shares of a service's targets: whole ppm, ≥ 0, in the order of the estate's targets, summing to PPM. */
export type Shares = readonly number[];

/**
 * Scales non-negative numbers to whole ppm that sum to PPM exactly: largest remainder (Hamilton), ties by index.
 * At least one value must be above zero.
 */
export function toShares(values: readonly number[]): number[] {
  const total = sum(values);
  if (!(total > 0) || !Number.isFinite(total)) throw new Error(`shares need a positive finite total, not ${total}`);
  const exact = values.map((v) => (v / total) * PPM);
  const shares = exact.map(Math.floor);
  const order = exact.map((_, i) => i).sort((a, b) => exact[b]! - shares[b]! - (exact[a]! - shares[a]!) || a - b);
  let missing = PPM - sum(shares);
  for (const i of order) {
    if (missing <= 0) break;
    shares[i] = shares[i]! + 1;
    missing--;
  }
  return shares;
}

export function sum(values: readonly number[]): number {
  let total = 0;
  for (const v of values) total += v;
  return total;
}

export function equal(a: Shares, b: Shares): boolean {
  return a.every((v, i) => v === b[i]);
}

/** Largest change of one target's share between two vectors. */
export function distance(a: Shares, b: Shares): number {
  let most = 0;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i]! - b[i]!));
  return most;
}

/**
 * `values` on the targets of `allowed` only, scaled to PPM. Where they sum to zero there, `second` is used, and an even
 * split where that is zero too.
 */
export function restrict(values: readonly number[], allowed: readonly boolean[], second: readonly number[]): number[] {
  for (const source of [values, second, values.map(() => 1)]) {
    const kept = source.map((v, i) => (allowed[i] ? v : 0));
    if (sum(kept) > 0) return toShares(kept);
  }
  throw new Error("shares need at least one allowed target");
}
