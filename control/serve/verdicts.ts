import type { ChangeType, Verdict } from "../checkpoint/record.ts";
import { type PlannedService, PPM, type ServicePolicy } from "../plan/plan.ts";

/**
 * What the policy says of a new set: the last check before anything is sent, made from the shares alone and not from how they
 * came about. A standard change is within all bounds; an emergency may exceed the step limit and nothing else.
 */
export function judge(
  services: readonly PlannedService[],
  before: ReadonlyMap<string, PlannedService>,
  policies: ReadonlyMap<string, ServicePolicy>,
): { verdicts: Verdict[]; changeType: ChangeType; ok: boolean } {
  const verdicts: Verdict[] = [];
  const emergency = services.some((service) => service.emergency);
  for (const service of services) {
    const policy = policies.get(service.name);
    const sum = service.targets.reduce((total, target) => total + target.weightPpm, 0);
    const stickySum = service.targets.reduce((total, target) => total + target.stickyPpm, 0);
    verdicts.push({
      rule: "shares_sum",
      ok: sum === PPM && stickySum === PPM && service.targets.every((t) => t.weightPpm >= 0 && t.stickyPpm >= 0),
      text: `${service.name}: shares sum to ${sum} and ${stickySum} ppm`,
    });
    const known = service.targets.every((target) => policy?.basePpm.has(target.name));
    verdicts.push({ rule: "targets_known", ok: known, text: `${service.name}: every target is one of ballast.yaml` });
    const previous = before.get(service.name);
    if (policy === undefined || previous === undefined) continue;
    const shares = new Map(previous.targets.map((target) => [target.name, target]));
    let step = 0;
    for (const target of service.targets) {
      const was = shares.get(target.name);
      step = Math.max(
        step,
        Math.abs(target.weightPpm - (was?.weightPpm ?? 0)),
        Math.abs(target.stickyPpm - (was?.stickyPpm ?? 0)),
      );
    }
    verdicts.push({
      rule: "step_limit",
      ok: step <= policy.stepLimitPpm || service.emergency,
      text: `${service.name}: largest step ${step} ppm of ${policy.stepLimitPpm}${service.emergency ? ", emergency" : ""}`,
    });
  }
  const ok = verdicts.every((verdict) => verdict.ok);
  return { verdicts, changeType: emergency ? "emergency" : ok ? "standard" : "normal", ok };
}
