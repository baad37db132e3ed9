/** A forecast may exceed the highest load ever seen by this factor and no more. */
export const GUARD_FACTOR = 3;
/** Requests per second: rounding around zero is not an excess. */
const GUARD_SLACK_RPS = 0.01;

/**
 * Judges values[level][step] of the model before anything is planned with them. Returns what is wrong with them, or null.
 * @param highestRps highest load in the history of the service
 */
export function guardOutput(values: readonly Float64Array[], highestRps: number): string | null {
  const bound = GUARD_FACTOR * highestRps + GUARD_SLACK_RPS;
  for (let level = 0; level < values.length; level++) {
    const row = values[level]!;
    for (let h = 0; h < row.length; h++) {
      const value = row[h]!;
      if (!Number.isFinite(value) || value < 0) return `a value at step ${h + 1} is ${value}`;
      if (value > bound)
        return `${round(value)} rps at step ${h + 1} is more than ${GUARD_FACTOR} times the highest load seen, ${round(highestRps)}`;
      if (level > 0 && value < values[level - 1]![h]!) return `levels cross at step ${h + 1}`;
    }
  }
  return null;
}

function round(rps: number): number {
  return Number(rps.toPrecision(4));
}
