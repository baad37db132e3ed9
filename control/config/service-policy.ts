import type { ServicePolicy } from "../plan/plan.ts";
import type { BallastConfig, ServiceConfig } from "./config.ts";

/** The planner's view of one service's settings. Throws when `service` is not one of `config`'s. */
export function toServicePolicy(config: BallastConfig, service: ServiceConfig | string): ServicePolicy {
  const found = config.services.get(typeof service === "string" ? service : service.name);
  if (found === undefined) throw new Error(`no service ${String(service)} in ${config.file}`);
  const { policy } = found;
  return {
    mode: found.mode,
    basePpm: new Map([...found.targets.values()].map((target) => [target.name, target.basePpm])),
    hasSessions: found.sessions !== null,
    sessionsMoveBeforeMs: found.sessions?.moveBeforeMs ?? 0,
    floorPpm: policy.floorPpm,
    capPpm: policy.capPpm,
    stepLimitPpm: policy.stepLimitPpm,
    stepIntervalMs: policy.stepIntervalMs,
    hysteresisPpm: policy.hysteresisPpm,
    leadTimeMs: policy.leadTimeMs,
    returnAfterMs: policy.returnAfterMs,
    demandLevel: policy.demandQuantile,
    targetUtilisation: policy.targetUtilisation,
    telemetryMaxAgeMs: policy.telemetryMaxAgeMs,
    pendingChance: policy.pendingChance,
    riskFrom: policy.riskFrom,
    riskShiftPpm: policy.riskShiftPpm,
  };
}
