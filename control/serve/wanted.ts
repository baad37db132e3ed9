import { changes, type Judgement, judge, type StandardBounds } from "../change/judge.ts";
import { type Restraint, restrain } from "../change/restrain.ts";
import type { PlannedService, ServicePolicy } from "../plan/plan.ts";

export interface WantedInput {
  planned: ReadonlyMap<string, PlannedService>;
  /** Null before the first epoch: then the base weights are taken to be in force. */
  inForce: ReadonlyMap<string, PlannedService> | null;
  policies: ReadonlyMap<string, ServicePolicy>;
  bounds: StandardBounds;
  /** The planner holds after a rollback or kill switch: only emergencies pass. */
  held: boolean;
  /** Why a service is not free to move; null when it is. */
  restraintOf: (service: string) => Restraint | null;
}

export interface Wanted {
  /** All services of the fleet, as the next epoch should have them; null: nothing is to be released now. */
  services: PlannedService[] | null;
  emergency: boolean;
  /** What of the plan stays back, and why. */
  heldBack: { service: string; restraint: Restraint }[];
  /** Plans outside the bounds of a standard change: they need a person. */
  needApproval: { service: PlannedService; judgement: Judgement }[];
}

/**
 * What of the newest plan may go out by rule. Pure. An emergency goes out alone, so that nothing else takes its short way;
 * when more services move than one epoch may carry, those that must leave go first and the others wait for the next.
 */
export function wantedOf(input: WantedInput): Wanted {
  const { planned, inForce, held } = input;
  const before = (plan: PlannedService): PlannedService =>
    inForce?.get(plan.name) ?? (inForce === null ? base(plan) : plan);
  const all = [...planned.values()];
  const heldBack: Wanted["heldBack"] = [];
  const needApproval: Wanted["needApproval"] = [];
  const emergencies = all.filter((plan) => plan.emergency && changes(plan, before(plan)));
  const emergency = inForce !== null && emergencies.length > 0;
  if (emergency || held) {
    const services = all.map((plan) => (emergencies.includes(plan) ? plan : before(plan)));
    return { services: emergency ? services : null, emergency, heldBack, needApproval };
  }
  const passed = all.map((plan) => {
    const earlier = before(plan);
    const restraint = input.restraintOf(plan.name);
    if (restraint !== null) {
      const restrained = restrain(plan, earlier, restraint);
      if (restrained.heldBack) heldBack.push({ service: plan.name, restraint });
      return restrained.service;
    }
    const judgement = outside(plan, earlier, input);
    if (inForce === null || judgement === null) return plan;
    needApproval.push({ service: plan, judgement });
    const waits: Restraint = { kind: "approval", ref: plan.name, text: "outside the bounds of a standard change" };
    heldBack.push({ service: plan.name, restraint: waits });
    return restrain(plan, earlier, waits).service;
  });
  if (inForce === null) {
    // To begin to steer is a change too: while anything is frozen it needs a target that must be left.
    const begins = heldBack.length === 0 || passed.some((plan) => changes(plan, base(plan)));
    return { services: begins ? passed : null, emergency: false, heldBack, needApproval };
  }
  return { services: fewest(passed, inForce, input.bounds.maxServices), emergency: false, heldBack, needApproval };
}

/** The judgement of a plan that is outside the bounds on its own account; null when it is within. */
function outside(plan: PlannedService, earlier: PlannedService, input: WantedInput): Judgement | null {
  const judgement = judge({
    services: [plan],
    before: new Map([[plan.name, earlier]]),
    policies: input.policies,
    bounds: { ...input.bounds, maxServices: 1 },
    by: "planner",
    emergency: false,
  });
  return judgement.changeType === "normal" ? judgement : null;
}

/** At most `max` services that change; those with a target that must be left first, then in the order of the plan. */
function fewest(
  services: readonly PlannedService[],
  inForce: ReadonlyMap<string, PlannedService>,
  max: number,
): PlannedService[] {
  const changed = services.filter((plan) => {
    const earlier = inForce.get(plan.name);
    return earlier !== undefined && changes(plan, earlier);
  });
  if (changed.length <= max) return [...services];
  const leaves = (plan: PlannedService) => plan.targets.some((target) => target.draining);
  const first = new Set([...changed.filter(leaves), ...changed.filter((plan) => !leaves(plan))].slice(0, max));
  return services.map((plan) => (first.has(plan) || !changed.includes(plan) ? plan : inForce.get(plan.name)!));
}

/** The service on its base weights: what Envoy's own route does before the first epoch. */
export function base(plan: PlannedService): PlannedService {
  const targets = plan.targets.map((target) => ({
    ...target,
    weightPpm: target.basePpm,
    stickyPpm: target.basePpm,
    draining: false,
    causes: [],
  }));
  return { ...plan, targets, emergency: false };
}
