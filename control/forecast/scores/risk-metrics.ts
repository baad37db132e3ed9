/** How good probabilities of an event are, for example that a target degrades during a change. */
export interface Judged {
  /** 0 … 1. */
  probability: number;
  happened: boolean;
}

/** Mean (p − y)², y = 1 when it happened (Brier 1950): 0 is perfect, base rate·(1 − base rate) is what the base rate alone scores. NaN when empty. */
export function brierScore(cases: readonly Judged[]): number {
  let sum = 0;
  for (const { probability, happened } of cases) sum += (probability - Number(happened)) ** 2;
  return sum / cases.length;
}

/**
 * Area under the precision-recall curve as average precision, Σ (recall step)·precision, without interpolating between points, which would
 * flatter (Davis & Goadrich 2006). Cases of one probability enter together, so their order cannot matter. A forecast that cannot tell cases
 * apart scores the base rate. NaN when nothing happened.
 */
export function prAuc(cases: readonly Judged[]): number {
  const sorted = [...cases].sort((a, b) => b.probability - a.probability);
  const total = sorted.filter(({ happened }) => happened).length;
  let hits = 0;
  let area = 0;
  for (let i = 0; i < sorted.length; ) {
    const { probability } = sorted[i]!;
    const before = hits;
    for (; i < sorted.length && sorted[i]!.probability === probability; i++) if (sorted[i]!.happened) hits++;
    area += ((hits - before) / total) * (hits / i);
  }
  return total === 0 ? Number.NaN : area;
}

/**
 * Expected calibration error (Naeini, Cooper & Hauskrecht 2015): mean over equally wide bins of |mean p − rate|, weighted by their cases.
 * @param bins ≥ 1
 */
export function calibrationError(cases: readonly Judged[], bins = 10): number {
  const sums = Array.from({ length: bins }, () => 0);
  for (const { probability, happened } of cases)
    sums[Math.min(bins - 1, Math.floor(probability * bins))]! += probability - Number(happened);
  return sums.reduce((sum, difference) => sum + Math.abs(difference), 0) / cases.length;
}
