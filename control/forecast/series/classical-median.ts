import type { Member } from "./members.ts";
import { CLASSICS, CLASSICS_OF_SHORT_PASTS, CLASSICS_WITHOUT_SEASON } from "./members.ts";

/** The level-wise median of the classical forecasts: a member that is made of others. */
export const CLASSICAL_MEDIAN = "classical median";
/** Fewer have no middle that is worth more than each. */
const MIN_PARTS = 3;

/** With less past no test can tell whether there is a season, and those that ask one first know none. */
const SEASONS_TO_TEST = 3;

/** Names of those whose middle it is after `steps` of past, among members that can answer; empty where it cannot. */
export function partsOfMedian(members: readonly Pick<Member, "name">[], season: number, steps: number): string[] {
  const wanted =
    season === 1 ? CLASSICS_WITHOUT_SEASON : steps < SEASONS_TO_TEST * season ? CLASSICS_OF_SHORT_PASTS : CLASSICS;
  const parts = wanted.filter((name) => members.some((one) => one.name === name));
  if (season > 1 && !parts.includes("Holt-Winters")) return [];
  return parts.length < MIN_PARTS ? [] : parts;
}

/** The median of several forecasts of one window, level by level and step by step, without those that are not finite there. */
export function medianOf(forecasts: readonly (readonly Float64Array[])[]): Float64Array[] {
  return forecasts[0]!.map((row, q) =>
    row.map((_, h) => {
      const values = forecasts.map((one) => one[q]![h]!).filter(Number.isFinite);
      if (values.length === 0) return Number.NaN;
      values.sort((a, b) => a - b);
      const half = values.length >> 1;
      return values.length % 2 === 1 ? values[half]! : (values[half - 1]! + values[half]!) / 2;
    }),
  );
}
