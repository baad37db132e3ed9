import { liveTelemetry } from "./live.ts";
import type { FleetPlan, PlanInput, PlanMemory } from "./plan.ts";
import { planService } from "./plan-service.ts";

/**
 * Plans every service of the fleet. Pure: the same input gives the same plan, and nothing is kept between calls but what
 * the caller hands back as `memory` and `last`. Services do not influence each other.
 *
 * Guaranteed for every service: both quotas are whole ppm ≥ 0 that sum to PPM; no share moves by more than the step limit
 * in a step, nor sooner than the step interval, unless `emergency`; each target's causes add up to weightPpm − basePpm.
 */
export function planFleet(input: PlanInput): FleetPlan {
  const services: FleetPlan["services"] = new Map();
  const memories: [string, PlanMemory["services"][string]][] = [];
  const before = new Map(Object.entries(input.memory?.services ?? {}));
  for (const [name, { estate, policy }] of input.services) {
    const planned = planService({
      nowMs: input.nowMs,
      planIntervalMs: input.planIntervalMs ?? 0,
      estate,
      policy,
      forecast: input.forecasts.get(name),
      risks: input.risks,
      live: liveTelemetry(input, policy),
      last: input.last?.get(name),
      memory: before.get(name),
    });
    services.set(name, planned.plan);
    memories.push([name, planned.memory]);
  }
  // Own properties only, whatever the names are.
  return { services, memory: { services: Object.fromEntries(memories) } };
}
