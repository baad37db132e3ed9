/**
 * Jensen–Shannon divergence of two histograms over the same bins, base 2: 0 when they have the same shares, 1 when they have no bin in
 * common. Unlike the population stability index it stays finite where one of them is empty. NaN when one has no counts at all.
 */
export function jensenShannon(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const sumA = sum(a);
  const sumB = sum(b);
  if (sumA === 0 || sumB === 0) return Number.NaN;
  let divergence = 0;
  for (let i = 0; i < a.length; i++) {
    const p = a[i]! / sumA;
    const q = b[i]! / sumB;
    const m = (p + q) / 2;
    if (p > 0) divergence += (p * Math.log2(p / m)) / 2;
    if (q > 0) divergence += (q * Math.log2(q / m)) / 2;
  }
  return Math.max(0, divergence);
}

function sum(counts: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += counts[i]!;
  return total;
}
