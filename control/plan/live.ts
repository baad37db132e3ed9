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
  if (input.telemetry === null) return { targets: new Map(), stale: "there is no telemetry yet", aged: false };
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

/** Requests per second over all targets, or null when one of them is not known. */
export function liveRps(live: Live, targets: readonly string[]): number | null {
  let total = 0;
  for (const name of targets) {
    const rps = live.targets.get(name)?.rps ?? null;
    if (rps === null) return null;
    total += rps;
  }
  return total;
}
