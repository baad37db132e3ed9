import type { ChangeType, CheckpointRecord, ModelChange, Verdict } from "../checkpoint/record.ts";
import { feasibleBounds } from "../plan/bounds.ts";
import { mustLeave } from "../plan/must-leave.ts";
import { type PlannedService, type PlannedTarget, PPM, type ServicePolicy } from "../plan/plan.ts";

/** Bounds of a standard change: inside them a change is approved by rule, outside a person must. */
export interface StandardBounds {
  /** Largest change of one target's share in one epoch, ppm; null: the service's own step limit. */
  maxStepPpm: number | null;
  /** Services whose shares one epoch may change. */
  maxServices: number;
  /** No share is lowered below this, ppm, but for a target that must be left. */
  minSharePpm: number;
}

export interface JudgeInput {
  services: readonly PlannedService[];
  /** What is in force, by service; a service that is not in it is new. */
  before: ReadonlyMap<string, PlannedService>;
  policies: ReadonlyMap<string, ServicePolicy>;
  bounds: StandardBounds;
  /**
   * The planner explains every share and keeps floor and cap as far as they can be kept; a person's weights are held
   * against floor and cap as they stand.
   */
  by: "planner" | "person";
  /** A rollback, a kill switch, lost health: at once, approval is owed. */
  emergency: boolean;
}

export interface Judgement {
  verdicts: Verdict[];
  changeType: ChangeType;
  /** False: broken in itself; nobody can approve it. */
  sound: boolean;
}

/** Rules that no approval sets aside. */
const HARD_RULES = new Set(["shares_sum", "targets_known", "targets_once", "not_empty"]);

/**
 * What the policy says of a new set: the last check before anything is sent, made from the shares alone and not from how
 * they came about. Standard: within all bounds. Normal: outside one of them. Emergency: whatever the bounds say.
 */
export function judge(input: JudgeInput): Judgement {
  const { services, before, policies, bounds } = input;
  const verdicts: Verdict[] = [];
  if (services.length === 0) verdicts.push({ rule: "not_empty", ok: false, text: "the set has no services" });
  for (const service of services) {
    const previous = before.get(service.name);
    const policy = policies.get(service.name);
    verdicts.push(...soundness(service, policy));
    if (policy === undefined || previous === undefined || !changes(service, previous)) continue;
    verdicts.push(...boundsOf(service, previous, policy, input));
  }
  const changed = services.filter((service) => {
    const previous = before.get(service.name);
    return previous !== undefined && changes(service, previous);
  });
  verdicts.push({
    rule: "services_changed",
    ok: changed.length <= bounds.maxServices,
    text: `${changed.length} of at most ${bounds.maxServices} services change`,
  });
  const sound = verdicts.every(({ ok, rule }) => ok || !HARD_RULES.has(rule));
  const within = verdicts.every(({ ok }) => ok);
  return { verdicts, sound, changeType: input.emergency ? "emergency" : within ? "standard" : "normal" };
}

/** No bound covers another model: a person must approve it, or owes the approval for a return to a former one. */
export function withModel(judgement: Judgement, { from, to }: ModelChange): Judgement {
  const text = `model ${from?.sha256.slice(0, 12) ?? "none"} → ${to?.sha256.slice(0, 12) ?? "that of ballast.yaml"}`;
  const verdict: Verdict = { rule: "model", ok: false, text };
  const changeType = judgement.changeType === "emergency" ? "emergency" : "normal";
  return { ...judgement, verdicts: [...judgement.verdicts, verdict], changeType };
}

/** No bound covers steering again after the kill switch: a person must approve it. */
export function withFleetMode(judgement: Judgement, from: FleetMode, to: FleetMode): Judgement {
  if (from === to || to !== "steer") return judgement;
  const verdict: Verdict = { rule: "fleet_mode", ok: false, text: `the fleet: ${from} → ${to}` };
  const changeType = judgement.changeType === "emergency" ? "emergency" : "normal";
  return { ...judgement, verdicts: [...judgement.verdicts, verdict], changeType };
}

type FleetMode = CheckpointRecord["mode"];

function soundness(service: PlannedService, policy: ServicePolicy | undefined): Verdict[] {
  const { name, targets } = service;
  const shares = targets.flatMap((target) => [target.weightPpm, target.stickyPpm]);
  const sum = targets.reduce((total, target) => total + target.weightPpm, 0);
  const stickySum = targets.reduce((total, target) => total + target.stickyPpm, 0);
  const whole = shares.every((share) => Number.isSafeInteger(share) && share >= 0);
  const unknown = targets.find((target) => policy?.basePpm.has(target.name) !== true);
  return [
    {
      rule: "shares_sum",
      ok: sum === PPM && stickySum === PPM && whole,
      text: `${name}: shares sum to ${sum} and ${stickySum} ppm`,
    },
    {
      rule: "targets_known",
      ok: unknown === undefined,
      text:
        unknown === undefined
          ? `${name}: every target is one of ballast.yaml`
          : `${name}: ${JSON.stringify(unknown.name)} is no target of it in ballast.yaml`,
    },
    {
      rule: "targets_once",
      ok: new Set(targets.map((target) => target.name)).size === targets.length,
      text: `${name}: each target once`,
    },
  ];
}

function boundsOf(
  service: PlannedService,
  previous: PlannedService,
  policy: ServicePolicy,
  { bounds, by }: JudgeInput,
): Verdict[] {
  const { name, targets } = service;
  const was = new Map(previous.targets.map((target) => [target.name, target]));
  const step = largestStep(service, previous);
  const limit = bounds.maxStepPpm ?? policy.stepLimitPpm;
  const verdicts: Verdict[] = [
    {
      rule: "step_limit",
      ok: step <= limit || service.emergency,
      text: `${name}: largest step ${step} of ${limit} ppm${service.emergency ? ", emergency" : ""}`,
    },
    {
      rule: "mode",
      ok: service.mode === previous.mode,
      text: service.mode === previous.mode ? `${name}: ${service.mode}` : `${name}: ${previous.mode} → ${service.mode}`,
    },
  ];
  const inService = targets.filter((target) => !target.draining);
  const carrying = inService.filter((target) => target.weightPpm > 0).length;
  const count = Math.max(1, by === "planner" ? carrying : inService.length);
  const { lowPpm, highPpm } = feasibleBounds(policy, count);
  const floor = by === "planner" ? bounds.minSharePpm : Math.max(lowPpm, bounds.minSharePpm);
  const low = inService.find(
    (target) => target.weightPpm < floor && target.weightPpm < shareOf(was, target) && !mustLeave(target),
  );
  verdicts.push({
    rule: "floor",
    ok: low === undefined || service.emergency,
    text:
      low === undefined
        ? `${name}: floor ${floor} ppm kept`
        : `${name}: ${low.name} ${low.weightPpm} below ${floor} ppm`,
  });
  const high = targets.find((target) => target.weightPpm > highPpm && target.weightPpm > shareOf(was, target));
  verdicts.push({
    rule: "cap",
    ok: high === undefined || service.emergency,
    text:
      high === undefined
        ? `${name}: cap ${highPpm} ppm kept`
        : `${name}: ${high.name} ${high.weightPpm} above ${highPpm} ppm`,
  });
  return verdicts;
}

function shareOf(shares: ReadonlyMap<string, PlannedTarget>, target: PlannedTarget): number {
  return shares.get(target.name)?.weightPpm ?? 0;
}

/** The largest change of one share, of either quota, ppm. Targets on one side only count as 0 on the other. */
export function largestStep(after: PlannedService, before: PlannedService): number {
  const names = new Set([...after.targets, ...before.targets].map((target) => target.name));
  const share = (service: PlannedService, name: string) => service.targets.find((target) => target.name === name);
  let step = 0;
  for (const name of names) {
    const [a, b] = [share(after, name), share(before, name)];
    step = Math.max(
      step,
      Math.abs((a?.weightPpm ?? 0) - (b?.weightPpm ?? 0)),
      Math.abs((a?.stickyPpm ?? 0) - (b?.stickyPpm ?? 0)),
    );
  }
  return step;
}

/** True when the data plane would see a difference. */
export function changes(after: PlannedService, before: PlannedService): boolean {
  const draining = (service: PlannedService) =>
    service.targets
      .filter((target) => target.draining)
      .map((target) => target.name)
      .sort()
      .join();
  return after.mode !== before.mode || largestStep(after, before) > 0 || draining(after) !== draining(before);
}
