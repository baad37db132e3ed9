import { seededRandom } from "../lib/random.ts";

export const SLOTS = 1024;
export const TARGET_COUNT = 8;

/** A push: the integer weights after it. The one before it is always `base`. */
export interface Push {
  name: string;
  what: string;
  /** As a user would write them: the sum may change. */
  weights: number[];
  /** The same shares in 1,024 slots. */
  quotas: number[];
}

/** Whole slots by largest remainder; ties to the lower index. */
export function quotasOf(weights: readonly number[], slots = SLOTS): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  const exact = weights.map((weight) => (weight * slots) / sum);
  const quotas = exact.map(Math.floor);
  const missing = slots - quotas.reduce((a, b) => a + b, 0);
  const byRemainder = exact
    .map((value, index) => ({ index, rest: value - Math.floor(value) }))
    .sort((a, b) => b.rest - a.rest || a.index - b.index);
  for (const { index } of byRemainder.slice(0, missing)) quotas[index] = (quotas[index] as number) + 1;
  return quotas;
}

/** Eight targets with weights between 20 and 220 that sum to 1,024, and three pushes from there. */
export function pushes(seed = 3): { base: Push; after: Push[] } {
  const random = seededRandom(seed);
  const base = quotasOf(Array.from({ length: TARGET_COUNT }, () => 20 + 200 * random()));
  const push = (name: string, what: string, weights: number[]): Push => ({
    name,
    what,
    weights,
    quotas: quotasOf(weights),
  });
  const drained = base.map((weight, index) => (index === 2 ? 0 : weight));
  return {
    base: push("base", "the weights before each push", base),
    after: [
      push(
        "one_up",
        "one target +10 %",
        base.map((weight, index) => (index === 0 ? Math.round(weight * 1.1) : weight)),
      ),
      push(
        "jitter",
        "all targets ±5 %",
        base.map((weight, index) => Math.round(weight * (index % 2 === 0 ? 1.05 : 0.95))),
      ),
      push("drained", "one target drained", drained),
    ],
  };
}

/** Share of sessions that must move at the least: total variation distance of the two splits. */
export function leastMoved(before: readonly number[], after: readonly number[]): number {
  const total = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);
  const [a, b] = [total(before), total(after)];
  return before.reduce((sum, value, index) => sum + Math.max(0, value / a - (after[index] as number) / b), 0);
}
