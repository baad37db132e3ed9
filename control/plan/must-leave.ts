import type { PlannedTarget } from "./plan.ts";

/**
 * True when a target loses its share because something outside takes it out of service: an approved window, an incident, its
 * health. Such a loss protects traffic; to forbid it would keep requests on what is going down.
 */
export function mustLeave(target: Pick<PlannedTarget, "draining" | "causes">): boolean {
  const outside = target.causes.some(
    ({ kind, effectPpm }) => effectPpm < 0 && (kind === "window" || kind === "incident" || kind === "health"),
  );
  return target.draining || outside;
}
