import type { z } from "zod";
import { PPM } from "../plan/plan.ts";
import type * as schema from "../serve/api-schemas.ts";

export type ServiceDiff = z.infer<typeof schema.DiffAnswer>["services"][number];

/** Before and after of one service, as `diff` and `status` show it. */
export function printServiceDiff(service: ServiceDiff, out: (text: string) => void): void {
  const mode = service.beforeMode === service.mode ? service.mode : `${service.beforeMode} → ${service.mode}`;
  out(`  ${service.name} (${mode}): ${service.why}`);
  for (const target of service.targets) {
    const before = target.beforePpm === null ? "    new" : percent(target.beforePpm);
    const moved = target.weightPpm - (target.beforePpm ?? 0);
    const sign = moved === 0 ? "" : `  ${moved > 0 ? "+" : "−"}${(Math.abs(moved) / 10_000).toFixed(1)} points`;
    out(`    ${target.name.padEnd(24)} ${before} → ${percent(target.weightPpm)}${sign}`);
  }
  out(
    `    slots moved ${service.slotsMoved}; sessions that change their target ${percent(service.sessionsPpm).trim()}: ${service.sessionsText}`,
  );
}

export function percent(ppm: number): string {
  return `${((100 * ppm) / PPM).toFixed(1).padStart(5)} %`;
}

export function wallTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

/** What it does to switch a service from observe to steer. */
export function switchText({ sessionsPpm, text }: { sessionsPpm: number; text: string }): string {
  return `to steer would send ${percent(sessionsPpm).trim()} of its sessions elsewhere: ${text}`;
}
