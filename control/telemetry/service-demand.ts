import type { TelemetrySnapshot } from "./telemetry.ts";

/**
 * Requests per second of a service over all its targets. Null while the rate of one of them is not known, for a sum with a
 * gap would look like a fall in demand.
 */
export function serviceDemand(
  snapshot: Pick<TelemetrySnapshot, "targets">,
  targetsOfService: Iterable<string>,
): number | null {
  let total = 0;
  for (const target of targetsOfService) {
    const rps = snapshot.targets.get(target)?.rps ?? null;
    if (rps === null) return null;
    total += rps;
  }
  return total;
}

/** The weight of a sample of serviceDemand, seconds: what this round newly measured; 1 where the telemetry does not tell. */
export function serviceSeconds(
  snapshot: Pick<TelemetrySnapshot, "targets">,
  targetsOfService: Iterable<string>,
): number {
  let seconds = 0;
  for (const target of targetsOfService) seconds = Math.max(seconds, snapshot.targets.get(target)?.intervalS ?? 1);
  return seconds;
}
