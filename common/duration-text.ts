const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
] as const;

/** A length of time in the largest unit that divides it: `5 min`, `31 d`; `0.25 s` where none does. */
export function durationText(ms: number): string {
  for (const [unit, size] of UNITS) if (ms % size === 0) return `${ms / size} ${unit}`;
  return `${Number((ms / 1_000).toPrecision(6))} s`;
}
