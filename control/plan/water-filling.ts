import { PPM } from "./plan.ts";
import { type Shares, sum, toShares } from "./shares.ts";

/**
 * Water-filling. The preferred shares hold while no target is expected above `targetUtilisation`. Otherwise givers are cut
 * to the level λ = max(targetUtilisation, demand ÷ total capacity), which is the lowest level that can be held, and what they
 * give raises the least used targets to a common level μ ≤ λ. So only as much moves as must, and where the whole service is
 * above its target utilisation the shares become proportional to capacity, which makes the highest utilisation lowest.
 *
 * `capacityRps` is 0 for a target that may not carry traffic. Unknown demand or no capacity at all leaves the shares alone.
 */
export function waterFill(
  preferred: Shares,
  allowed: readonly boolean[],
  capacityRps: readonly number[],
  demandRps: number,
  targetUtilisation: number,
): number[] {
  const capacity = capacityRps.map((c, i) => (allowed[i] && c > 0 && Number.isFinite(c) ? c : 0));
  const totalCapacity = sum(capacity);
  if (!(demandRps > 0) || !Number.isFinite(demandRps) || !(totalCapacity > 0)) return [...preferred];
  if (highestUtilisation(preferred, capacity, demandRps) <= targetUtilisation) return [...preferred];

  const level = Math.max(targetUtilisation, demandRps / totalCapacity);
  const limit = capacity.map((c) => ((level * c) / demandRps) * PPM);
  const shares = preferred.map((p, i) => Math.min(p, limit[i]!));
  let excess = sum(preferred) - sum(shares);
  // Receivers from the emptiest on; each round lifts all receivers so far to the level of the next one.
  const receivers = shares
    .map((_, i) => i)
    .filter((i) => capacity[i]! > 0 && shares[i]! < limit[i]!)
    .sort((a, b) => shares[a]! / capacity[a]! - shares[b]! / capacity[b]! || a - b);
  let lifted = 0;
  for (let n = 0; n < receivers.length && excess > 0; n++) {
    lifted += capacity[receivers[n]!]!;
    const here = shares[receivers[n]!]! / capacity[receivers[n]!]!;
    const following = receivers[n + 1];
    const roof = following === undefined ? Number.POSITIVE_INFINITY : shares[following]! / capacity[following]!;
    const rise = Math.min(roof - here, excess / lifted);
    for (const i of receivers.slice(0, n + 1)) shares[i] = shares[i]! + rise * capacity[i]!;
    excess -= rise * lifted;
  }
  return toShares(shares);
}

/** Highest expected utilisation over the targets, 0 … ∞; a target with a share but no capacity counts as infinite. */
export function highestUtilisation(shares: Shares, capacityRps: readonly number[], demandRps: number): number {
  let highest = 0;
  for (let i = 0; i < shares.length; i++) {
    if (shares[i]! > 0) highest = Math.max(highest, (demandRps * shares[i]!) / PPM / Math.max(0, capacityRps[i]!));
  }
  return highest;
}
