import { mustLeave } from "../plan/must-leave.ts";
import type { Cause, PlannedService, PlannedTarget } from "../plan/plan.ts";
import { changes, largestStep } from "./judge.ts";

/** Why a service is not free to move, as status shows it. */
export interface Restraint {
  /**
   * freeze: a window of the calendar; operator: a person's weights hold; approval: a change of it waits for one; rollout: one
   * is in flight, or was taken back.
   */
  kind: "freeze" | "operator" | "approval" | "rollout";
  /** What a person can look up: a window's id, a change's number, a name. */
  ref: string;
  text: string;
}

export interface Restrained {
  service: PlannedService;
  /** True when something of the plan was held back. */
  heldBack: boolean;
}

/**
 * What of a plan passes while the service is restrained: only what must leave. Each target that loses its share to a window,
 * an incident or its health goes as planned; all others keep at least what they have, and what is freed goes to those whose
 * share the plan raises, in proportion. So nobody gains more than the plan gives, and the plan's bounds hold here too.
 * An emergency passes whole. The difference to the plan is explained by a cause of its own.
 */
export function restrain(planned: PlannedService, inForce: PlannedService, restraint: Restraint): Restrained {
  if (planned.emergency || !changes(planned, inForce)) return { service: planned, heldBack: false };
  // Only a flag differs: no request goes elsewhere.
  if (planned.mode === inForce.mode && largestStep(planned, inForce) === 0)
    return { service: planned, heldBack: false };
  const sameTargets =
    planned.targets.length === inForce.targets.length &&
    planned.targets.every((target) => inForce.targets.some((other) => other.name === target.name));
  // With other targets than those in force there is nothing to keep that would still be whole.
  if (!sameTargets) return { service: keep(planned, inForce), heldBack: true };
  const was = new Map(inForce.targets.map((target) => [target.name, target]));
  const before = planned.targets.map((target) => was.get(target.name)!);
  const weights = protect(planned.targets, before, "weightPpm");
  const sessions = protect(planned.targets, before, "stickyPpm");
  if (weights === null && sessions === null) return { service: keep(planned, inForce), heldBack: true };
  let heldBack = planned.mode !== inForce.mode;
  const targets = planned.targets.map((target, i): PlannedTarget => {
    const weightPpm = weights?.[i] ?? before[i]!.weightPpm;
    const stickyPpm = sessions?.[i] ?? before[i]!.stickyPpm;
    const away = weightPpm - target.weightPpm;
    heldBack ||= away !== 0 || stickyPpm !== target.stickyPpm;
    const causes: Cause[] =
      away === 0
        ? target.causes
        : [...target.causes, { kind: restraint.kind, ref: restraint.ref, effectPpm: away, text: restraint.text }];
    const draining = mustLeave(target) ? target.draining : before[i]!.draining;
    return { ...target, weightPpm, stickyPpm, draining, causes };
  });
  return { service: { ...planned, mode: inForce.mode, targets }, heldBack };
}

/** The plan in force, as this tick's plan of the service. */
function keep(planned: PlannedService, inForce: PlannedService): PlannedService {
  return planned.alarm === undefined ? inForce : { ...inForce, alarm: planned.alarm };
}

/** Shares of one quota in which only those lose that must; null when none of them loses. */
function protect(
  planned: readonly PlannedTarget[],
  before: readonly PlannedTarget[],
  quota: "weightPpm" | "stickyPpm",
): number[] | null {
  const moves = planned.map((target, i) => target[quota] - before[i]![quota]);
  const leaves = planned.map((target, i) => moves[i]! < 0 && mustLeave(target));
  if (!leaves.some(Boolean)) return null;
  const freed = -moves.reduce((sum, move, i) => sum + (leaves[i] ? move : 0), 0);
  const gains = moves.map((move) => Math.max(0, move));
  const gained = gains.reduce((sum, gain) => sum + gain, 0);
  // Both columns sum to the same, so what is gained is at least what those that must leave give.
  if (gained < freed) throw new Error("a plan gains less than it frees");
  const given = gains.map((gain) => Math.floor((gain * freed) / gained));
  let missing = freed - given.reduce((sum, gain) => sum + gain, 0);
  for (let i = 0; i < given.length && missing > 0; i++) {
    if (given[i]! >= gains[i]!) continue;
    given[i]! += 1;
    missing -= 1;
  }
  return planned.map((target, i) => (leaves[i] ? target[quota] : before[i]![quota] + given[i]!));
}
