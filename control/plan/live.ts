import type { TargetTelemetry } from "../telemetry/telemetry.ts";
import type { Health } from "./availability.ts";
import type { PlanInput, ServicePolicy } from "./plan.ts";
import { span } from "./text.ts";

/** Telemetry as far as it is fresh enough to be used. `stale` says why nothing is, or is null. */
export interface Live {
  targets: ReadonlyMap<string, TargetTelemetry>;
  stale: string | null;
  /** There was telemetry and it grew too old, which a person should hear of (none at all is normal at the start). */
  aged: boolean;
}

export function liveTelemetry(
  input: Pick<PlanInput, "telemetry" | "monotonicMs" | "clockRate">,
  policy: Pick<ServicePolicy, "telemetryMaxAgeMs">,
): Live {
  // Before its first reading a poller's snapshot is infinitely old.
  if (input.telemetry === null || !Number.isFinite(input.telemetry.atMonotonicMs)) {
    return { targets: new Map(), stale: "there is no telemetry yet", aged: false };
  }
  const ageMs = (input.monotonicMs - input.telemetry.atMonotonicMs) * (input.clockRate ?? 1);
  if (ageMs <= policy.telemetryMaxAgeMs) return { targets: input.telemetry.targets, stale: null, aged: false };
  const stale = `telemetry is ${span(ageMs)} old, at most ${span(policy.telemetryMaxAgeMs)} is used`;
  return { targets: new Map(), stale, aged: true };
}

/** A target that no Envoy reports, or that has no judged host, is unknown: neither proven healthy nor dead. */
export function liveHealth(live: Live, target: string): Health {
  const seen = live.targets.get(target);
  if (seen === undefined || seen.totalHosts <= 0) return "unknown";
  return seen.healthyHosts > 0 ? "healthy" : "unhealthy";
}
