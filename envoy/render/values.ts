/**
 * The values that the filter writes for `weighted_clusters.header_name`. Envoy picks the cluster in whose interval `value mod W`
 * lies, W being the sum of the route's static weights. A retry with `refresh_cluster_on_retry` (Envoy 1.39 and newer) leaves out
 * the cluster that failed and takes the same value modulo the sum of the others. So one number fixes both, and it is chosen such
 * that the retry falls on the target that is best fit to take it.
 */

export interface WeightedTarget {
  name: string;
  /** Static weight in the route: 1 … 4294967295, and so their sum. */
  weight: number;
}

/** Envoy refuses a route whose weights sum to more. */
const MAX_WEIGHT_SUM = 0xffff_ffff;

/**
 * Per target the smallest value that picks it and whose first retry falls on its survivor: among the other targets the one with
 * the largest static weight, the first of equals. With one target there is nothing to retry on, and its value is 0.
 *
 * Throws for weights that the form cannot take: a target of weight 0 could never be picked.
 */
export function chooseValues(targets: readonly WeightedTarget[]): Map<string, string> {
  const sum = targets.reduce((total, { weight }) => total + weight, 0);
  for (const { name, weight } of targets) {
    if (!Number.isInteger(weight) || weight < 1)
      throw new Error(`static weight ${weight} of ${name}: expected 1 or more`);
  }
  if (sum > MAX_WEIGHT_SUM) throw new Error(`the static weights sum to ${sum}, more than ${MAX_WEIGHT_SUM}`);
  return new Map(targets.map(({ name }, index) => [name, String(chooseValue(targets, sum, index))]));
}

/** Index of the target to which a retry of `index` is led; -1 with one target. */
export function survivorOf(targets: readonly WeightedTarget[], index: number): number {
  let best = -1;
  for (const [i, { weight }] of targets.entries()) {
    if (i !== index && (best < 0 || weight > targets[best]!.weight)) best = i;
  }
  return best;
}

/** What Envoy does with a value: the index of the cluster it picks among those not tried yet. */
export function clusterOf(targets: readonly WeightedTarget[], value: number, tried: readonly number[] = []): number {
  const left = targets.map((target, i) => (tried.includes(i) ? 0 : target.weight));
  let rest = value % left.reduce((total, weight) => total + weight, 0);
  return left.findIndex((weight) => {
    rest -= weight;
    return rest < 0;
  });
}

/**
 * The value is x + kW with x in the target's own interval. Modulo the remaining sum R, the interval [start, start + weight) of such
 * values must meet the survivor's. A solution exists: gcd(W, R) divides the weight, so the starts of successive k leave no residue out.
 */
function chooseValue(targets: readonly WeightedTarget[], sum: number, index: number): number {
  const survivor = survivorOf(targets, index);
  if (survivor < 0) return 0;
  const { weight } = targets[index]!;
  const start = weightBefore(targets, index);
  const rest = sum - weight;
  const from = weightBefore(targets, survivor) - (survivor > index ? weight : 0);
  const length = targets[survivor]!.weight;
  for (let k = 0; k <= rest; k++) {
    const lowest = start + k * sum;
    // Distance from the interval's first value to the next one that the retry takes as the survivor's.
    const at = lowest % rest;
    const skip = at >= from && at < from + length ? 0 : (from - at + rest) % rest;
    if (skip < weight) return lowest + skip;
  }
  throw new Error("no value leads the retry to the survivor: the arithmetic above is wrong");
}

function weightBefore(targets: readonly WeightedTarget[], index: number): number {
  return targets.slice(0, index).reduce((total, { weight }) => total + weight, 0);
}
