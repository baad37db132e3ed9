/** How far the counts of N picks in a row are from N times the shares: over windows spread evenly along the picks. */
export interface Deviation {
  picks: number;
  windows: number;
  /** Of the largest distance over the targets, in requests. */
  mean: number;
  worst: number;
}

const MAX_WINDOWS = 2000;

/** `picks[i]` is the target of request i; `shares` sum to 1. */
export function deviation(picks: Int8Array, shares: readonly number[], length: number): Deviation {
  if (length > picks.length) throw new Error(`${length} picks asked of ${picks.length}`);
  const last = picks.length - length;
  const step = Math.max(1, Math.ceil((last + 1) / MAX_WINDOWS));
  // counts[t][i] = picks of target t before request i
  const counts = shares.map((_, target) => {
    const sums = new Uint32Array(picks.length + 1);
    for (let i = 0; i < picks.length; i++) sums[i + 1] = (sums[i] as number) + (picks[i] === target ? 1 : 0);
    return sums;
  });
  let sum = 0;
  let worst = 0;
  let windows = 0;
  for (let from = 0; from <= last; from += step) {
    let largest = 0;
    for (const [target, share] of shares.entries()) {
      const sums = counts[target] as Uint32Array;
      const got = (sums[from + length] as number) - (sums[from] as number);
      largest = Math.max(largest, Math.abs(got - length * share));
    }
    sum += largest;
    worst = Math.max(worst, largest);
    windows++;
  }
  return { picks: length, windows, mean: sum / windows, worst };
}

/** Sessions seen on another target after a push, and the least that the counts seen before and after allow. */
export function moved(before: Int8Array, after: Int8Array, targets: number): { moved: number; least: number } {
  if (before.length !== after.length) throw new Error("two lists of sessions that differ in length");
  const change = new Array<number>(targets).fill(0);
  let count = 0;
  for (let i = 0; i < before.length; i++) {
    if (before[i] === after[i]) continue;
    count++;
    change[before[i] as number] = (change[before[i] as number] as number) - 1;
    change[after[i] as number] = (change[after[i] as number] as number) + 1;
  }
  return { moved: count, least: change.reduce((sum, delta) => sum + Math.max(0, delta), 0) };
}
