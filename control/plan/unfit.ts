import type { EstateTarget } from "../estate/estate.ts";
import type { Live } from "./live.ts";
import { liveHealth } from "./live.ts";

/** Why a target can take no request now: no healthy host, or a window that leaves nothing of it is open. Null when it can. */
export function unfitNow(target: EstateTarget, live: Live, nowMs: number): string | null {
  if (liveHealth(live, target.name) === "unhealthy") return `${target.name} has no healthy host`;
  const open = target.windows.find((w) => !(w.remaining > 0) && w.startMs <= nowMs && nowMs < w.endMs);
  if (open === undefined) return null;
  const until = Number.isFinite(open.endMs) ? ` until ${new Date(open.endMs).toISOString()}` : "";
  return `${target.name} is out of service for ${open.ticket}${until}`;
}
