import type { EstateTarget } from "../estate/estate.ts";
import type { TargetState } from "./availability.ts";
import { feasibleBounds, withinBounds } from "./bounds.ts";
import type { Demand } from "./demand.ts";
import { PPM, type ServicePolicy } from "./plan.ts";
import { shiftForRisk, type TargetRisk } from "./risk.ts";
import { restrict, type Shares } from "./shares.ts";
import { waterFill } from "./water-filling.ts";

/**
 * One reason applied on top of the one before it. The difference of two neighbouring stages is that reason's effect, so the
 * effects of all stages add up to goal − base without a remainder. Every stage is rounded to whole ppm by itself; its
 * rounding, below 1 ppm, is part of its effect.
 */
export interface Stage {
  by:
    | { kind: "removed"; index: number }
    | { kind: "capacity" }
    | { kind: "partial" }
    | { kind: "forecast" }
    | { kind: "risk" }
    | { kind: "floor" }
    | { kind: "cap" };
  shares: Shares;
}

export interface GoalContext {
  targets: readonly EstateTarget[];
  states: readonly TargetState[];
  policy: ServicePolicy;
  base: Shares;
  demand: Demand;
  risks: readonly (TargetRisk | null)[];
}

/**
 * The shares to aim for when only the targets of `allowed` may carry traffic (at least one), as a chain of stages that
 * begins after the base: removals one by one, the present load against full capacity, what windows leave of the capacity,
 * the forecast, the risk of changes, floor, cap. The last stage is the goal.
 */
export function goalStages(context: GoalContext, allowed: readonly boolean[]): Stage[] {
  const { targets, states, policy, base, demand } = context;
  const stages: Stage[] = [];
  const fullCapacity = targets.map((t) => (Number.isFinite(t.capacityRps) ? Math.max(0, t.capacityRps) : 0));

  const remaining = targets.map(() => true);
  let shares: Shares = base;
  for (let index = 0; index < targets.length; index++) {
    if (allowed[index]) continue;
    remaining[index] = false;
    shares = remaining.some(Boolean) ? restrict(base, remaining, fullCapacity) : shares;
    stages.push({ by: { kind: "removed", index }, shares });
  }
  const preferred = shares;
  const count = allowed.filter(Boolean).length;

  const fill = (capacity: readonly number[], rps: number | null): number[] =>
    rps === null ? [...preferred] : waterFill(preferred, allowed, capacity, rps, policy.targetUtilisation);
  stages.push({ by: { kind: "capacity" }, shares: fill(fullCapacity, demand.presentRps) });

  const left = fullCapacity.map((c, i) => c * states[i]!.remaining);
  if (states.some((s, i) => allowed[i] && s.remaining < 1)) {
    // Without any demand the utilisation is not known: take the lost part of the capacity off the preferred share.
    const scaled = preferred.map((p, i) => p * states[i]!.remaining);
    const reduced = demand.plannedRps === null ? restrict(scaled, allowed, preferred) : fill(left, demand.presentRps);
    stages.push({ by: { kind: "partial" }, shares: reduced });
    shares = reduced;
  }
  if (demand.plannedRps !== null) shares = fill(left, demand.plannedRps);
  stages.push({ by: { kind: "forecast" }, shares });

  if (context.risks.some((risk, i) => risk !== null && allowed[i])) {
    const shift = context.risks.map((risk) => risk?.shift ?? 0);
    const room = left.map((c) => (demand.plannedRps ? (policy.targetUtilisation * c * PPM) / demand.plannedRps : PPM));
    shares = shiftForRisk(shares, allowed, shift, room);
    stages.push({ by: { kind: "risk" }, shares });
  }

  const bounds = feasibleBounds(policy, count);
  shares = withinBounds(shares, allowed, bounds.lowPpm, Math.max(bounds.highPpm, PPM));
  stages.push({ by: { kind: "floor" }, shares });
  shares = withinBounds(shares, allowed, bounds.lowPpm, bounds.highPpm);
  stages.push({ by: { kind: "cap" }, shares });
  return stages;
}

export function goalShares(context: GoalContext, allowed: readonly boolean[]): Shares {
  return goalStages(context, allowed).at(-1)!.shares;
}
