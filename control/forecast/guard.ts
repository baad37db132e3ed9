import type { Quantiles } from "./quantiles.ts";

/** A forecast may exceed the highest load ever seen by this factor and no more. */
export const GUARD_FACTOR = 3;
/** Requests per second: rounding around zero is not an excess. */
const GUARD_SLACK_RPS = 0.01;

/**
 * Judges what the model says before anything is planned with it. Returns what is wrong with it, or null.
 * @param highestRps highest load in the history of the service
 */
export function guardOutput(values: Quantiles, highestRps: number): string | null {
  const bound = GUARD_FACTOR * highestRps + GUARD_SLACK_RPS;
  for (let level = 0; level < values.levels; level++) {
    for (let h = 0; h < values.steps; h++) {
      const value = values.at(level, h);
      if (!Number.isFinite(value) || value < 0) return `a value at step ${h + 1} is ${value}`;
      if (value > bound)
        return `${round(value)} rps at step ${h + 1} is more than ${GUARD_FACTOR} times the highest load seen, ${round(highestRps)}`;
      if (level > 0 && value < values.at(level - 1, h)) return `levels cross at step ${h + 1}`;
    }
  }
  return null;
}

function round(rps: number): number {
  return Number(rps.toPrecision(4));
}
