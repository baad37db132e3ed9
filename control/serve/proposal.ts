import { BallastError } from "../../common/errors.ts";
import type { PendingService } from "../change/ledger.ts";
import { reshuffle } from "../change/sessions.ts";
import type { TargetChange } from "../checkpoint/record.ts";
import type { PlannedService, PlannedTarget } from "../plan/plan.ts";
import type { DraftSet } from "./draft-set.ts";
import type { InForce } from "./in-force.ts";

/** What a person asks for. Shares are ppm of the service's requests. */
export interface ServiceRequest {
  name: string;
  /** All targets of the service; absent: the weights in force. */
  weightsPpm?: Readonly<Record<string, number>>;
  mode?: "observe" | "steer";
}

/**
 * The plans that a person's request makes of what is in force. Throws CHANGE_INVALID for what no approval can mend, CHANGE_EMPTY
 * when nothing would change.
 */
export function requestedPlans(
  request: { services: readonly ServiceRequest[]; author: string; reason: string },
  inForce: InForce,
): PlannedService[] {
  const names = request.services.map(({ name }) => name);
  if (new Set(names).size !== names.length) throw new BallastError("CHANGE_INVALID", "a service is named twice");
  return request.services.map((wanted) => {
    const last = inForce.last.get(wanted.name);
    if (last === undefined)
      throw new BallastError("CHANGE_INVALID", `there is no service ${JSON.stringify(wanted.name)}`);
    const { plan } = last;
    const targets = wanted.weightsPpm === undefined ? plan.targets : weighted(plan, wanted.weightsPpm, request);
    return { ...plan, mode: wanted.mode ?? plan.mode, targets: [...targets], why: request.reason, emergency: false };
  });
}

function weighted(
  plan: PlannedService,
  weightsPpm: Readonly<Record<string, number>>,
  { author, reason }: { author: string; reason: string },
): PlannedTarget[] {
  const known = new Set(plan.targets.map((target) => target.name));
  for (const name of Object.keys(weightsPpm)) {
    if (!known.has(name)) {
      throw new BallastError(
        "CHANGE_INVALID",
        `${plan.name} has no target ${JSON.stringify(name)}: it has ${[...known].join(", ")}`,
      );
    }
  }
  const targets = plan.targets.map((target): PlannedTarget => {
    const weightPpm = Object.hasOwn(weightsPpm, target.name) ? weightsPpm[target.name]! : 0;
    const effectPpm = weightPpm - target.basePpm;
    const causes =
      effectPpm === 0 ? [] : [{ kind: "operator" as const, ref: author, effectPpm, text: `${author}: ${reason}` }];
    return { ...target, weightPpm, stickyPpm: weightPpm, causes };
  });
  const sum = targets.reduce((total, target) => total + target.weightPpm, 0);
  if (sum !== 1_000_000 || targets.some(({ weightPpm }) => !Number.isSafeInteger(weightPpm) || weightPpm < 0)) {
    throw new BallastError("CHANGE_INVALID", `${plan.name}: the weights sum to ${sum / 10_000} %, not 100 %`);
  }
  return targets;
}

/** Before and after of each service that a draft changes, as an approver sees it. */
export function comparison(after: readonly PlannedService[], draft: DraftSet, inForce: InForce): PendingService[] {
  return after.map((plan) => {
    const earlier = inForce.last.get(plan.name)?.plan;
    const built = draft.tables.get(plan.name)!;
    const staticPpm = new Map(plan.targets.map((target) => [target.name, target.basePpm]));
    const { sessionsPpm, text } = reshuffle(inForce.tables.get(plan.name) ?? null, built.table, staticPpm);
    return {
      name: plan.name,
      mode: plan.mode,
      beforeMode: earlier?.mode ?? plan.mode,
      why: plan.why,
      targets: targetChanges(plan, earlier),
      slotsMoved: built.slotsMoved,
      sessionsPpm,
      sessionsText: text,
    };
  });
}

export function targetChanges(plan: PlannedService, earlier: PlannedService | undefined): TargetChange[] {
  return plan.targets.map(({ name, weightPpm, stickyPpm, draining, causes }) => ({
    name,
    beforePpm: earlier?.targets.find((target) => target.name === name)?.weightPpm ?? null,
    weightPpm,
    stickyPpm,
    draining,
    causes,
  }));
}

/** A change that waited, as plans again: what is in force with the approved shares. */
export function approvedPlans(services: readonly PendingService[], inForce: InForce): PlannedService[] {
  return services.map((service) => {
    const { plan } = inForce.last.get(service.name)!;
    const targets = service.targets.map(({ name, weightPpm, stickyPpm, draining, causes }) => ({
      name,
      basePpm: plan.targets.find((target) => target.name === name)!.basePpm,
      weightPpm,
      stickyPpm,
      draining,
      causes: [...causes],
    }));
    return { ...plan, mode: service.mode, targets, why: service.why, emergency: false };
  });
}
