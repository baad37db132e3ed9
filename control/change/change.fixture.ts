import { policy } from "../plan/plan.fixture.ts";
import type { Cause, PlannedService, PlannedTarget, ServicePolicy } from "../plan/plan.ts";

/** Small plans for the tests of change control. */

export function target(name: string, weightPpm: number, more: Partial<PlannedTarget> = {}): PlannedTarget {
  const basePpm = more.basePpm ?? weightPpm;
  const causes: Cause[] =
    weightPpm === basePpm
      ? []
      : [{ kind: "forecast", ref: "test", effectPpm: weightPpm - basePpm, text: "for the test" }];
  return { name, basePpm, weightPpm, stickyPpm: weightPpm, draining: false, causes, ...more };
}

export function planned(
  name: string,
  targets: readonly PlannedTarget[],
  more: Partial<PlannedService> = {},
): PlannedService {
  return { name, mode: "steer", targets: [...targets], why: "for the test", emergency: false, ...more };
}

export function policies(
  services: readonly PlannedService[],
  more: Partial<ServicePolicy> = {},
): Map<string, ServicePolicy> {
  return new Map(
    services.map((service) => [
      service.name,
      policy(Object.fromEntries(service.targets.map((t) => [t.name, t.basePpm])), more),
    ]),
  );
}
