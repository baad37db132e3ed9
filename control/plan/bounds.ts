import { PPM, type ServicePolicy } from "./plan.ts";
import type { Shares } from "./shares.ts";

export interface Bounds {
  lowPpm: number;
  highPpm: number;
  /** The policy's floor or cap that cannot hold with this number of targets and was relaxed; null when both hold. */
  relaxed: "floor" | "cap" | null;
}

/** Floor and cap for `count` targets that may carry traffic, relaxed just so far that a sum of PPM exists. */
export function feasibleBounds(policy: Pick<ServicePolicy, "floorPpm" | "capPpm">, count: number): Bounds {
  const most = Math.floor(PPM / count);
  const least = Math.ceil(PPM / count);
  const lowPpm = Math.min(Math.max(0, policy.floorPpm), most);
  const highPpm = Math.max(Math.min(PPM, policy.capPpm), least);
  return { lowPpm, highPpm, relaxed: lowPpm < policy.floorPpm ? "floor" : highPpm > policy.capPpm ? "cap" : null };
}

/**
 * The nearest shares with every allowed target within [low, high]: all free targets move by the same number of points
 * (Euclidean projection onto the bounded simplex). Shares that are within bounds come back unchanged.
 */
export function withinBounds(shares: Shares, allowed: readonly boolean[], lowPpm: number, highPpm: number): number[] {
  const at = (shift: number): number[] =>
    shares.map((v, i) => (allowed[i] ? Math.min(highPpm, Math.max(lowPpm, v + shift)) : 0));
  const total = (shift: number): number => at(shift).reduce((a, b) => a + b, 0);
  let low = -PPM;
  let high = PPM;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (total(middle) <= PPM) low = middle;
    else high = middle - 1;
  }
  const result = at(low);
  const next = at(low + 1);
  let missing = PPM - result.reduce((a, b) => a + b, 0);
  for (let i = 0; i < result.length && missing > 0; i++) {
    if (next[i]! > result[i]!) {
      result[i] = next[i]!;
      missing--;
    }
  }
  if (missing !== 0)
    throw new Error(`bounds ${lowPpm}…${highPpm} cannot hold for ${allowed.filter(Boolean).length} targets`);
  return result;
}
