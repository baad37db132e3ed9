import type { StatusPorts } from "./status.ts";

export interface ReadyCheck {
  name: "store" | "xds" | "estate";
  ok: boolean;
  text: string;
}

/**
 * Whether this server can steer: the head of its store was confirmed within a lease, the fleet is served, the estate is not
 * older than `estate.maxAge`. A server that is not ready changes nothing for the Envoys, which go on with what they hold.
 */
export function readyChecks(
  ports: Pick<StatusPorts, "config" | "clock" | "estate" | "xds">,
  confirmedAgoMs: number,
  leaseTtlMs: number,
): ReadyCheck[] {
  const { state, reason } = ports.xds.fleet.status();
  const ageMs = ports.clock.nowMs() - ports.estate.readAtMs;
  const { maxAgeMs } = ports.config.estate;
  return [
    {
      name: "store",
      ok: confirmedAgoMs < leaseTtlMs,
      text: `head confirmed ${Math.round(confirmedAgoMs)} ms ago, at most ${leaseTtlMs}`,
    },
    { name: "xds", ok: state === "serving", text: state === "serving" ? "serving" : `${state}: ${reason}` },
    {
      name: "estate",
      ok: ageMs <= maxAgeMs,
      text: `read ${Math.round(ageMs / 1000)} s of the planning calendar ago, at most ${maxAgeMs / 1000}`,
    },
  ];
}
