/**
 * Smooth weighted round robin (the algorithm of nginx's upstream module): in each step every target gains its quota, the
 * one that has most is picked and pays the sum. Over the whole sequence each target appears exactly `quota` times, spread
 * evenly; ties go to the lower index. O(sum × targets): 255 targets over 16384 slots are 4 million steps.
 */
export function smoothOrder(quotas: readonly number[]): Uint8Array {
  let sum = 0;
  for (const quota of quotas) sum += quota;
  const order = new Uint8Array(sum);
  const credit = new Int32Array(quotas.length);
  for (let slot = 0; slot < sum; slot++) {
    let best = -1;
    for (let i = 0; i < quotas.length; i++) {
      if (quotas[i] === 0) continue;
      credit[i]! += quotas[i]!;
      if (best < 0 || credit[i]! > credit[best]!) best = i;
    }
    credit[best]! -= sum;
    order[slot] = best;
  }
  return order;
}

/** `count` of the values 0 … `of` − 1, spread evenly and without repeats (0 ≤ count ≤ of). */
export function evenly(count: number, of: number): number[] {
  return Array.from({ length: count }, (_, k) => Math.floor(((2 * k + 1) * of) / (2 * count)));
}
