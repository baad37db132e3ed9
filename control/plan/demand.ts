import { type DemandForecast, peakDemand } from "../forecast/forecast.ts";

/** The two demands that a plan compares: the load now, and what the forecast makes of it. Requests per second. */
export interface Demand {
  /** Load of the last complete step, or from telemetry where the forecast has none; null when not known. */
  presentRps: number | null;
  presentSource: string;
  /** Highest forecast demand at the policy's level over the whole horizon; null without a forecast. */
  peakRps: number | null;
  /** Demand that is planned for: live load wins over a lower forecast. Null when nothing is known. */
  plannedRps: number | null;
  /** Ref of the forecast's cause: the link of the chain that answered. */
  source: DemandForecast["source"];
  /** Level that was in fact used, 0 … 1. */
  level: number;
  horizonMs: number;
  fallbackReasons: readonly string[];
}

export function demandOf(forecast: DemandForecast | undefined, level: number, liveRps: number | null): Demand {
  const lastRps = forecast === undefined ? null : usable(forecast.lastRps);
  const hasValues =
    forecast !== undefined && forecast.source !== "none" && forecast.values.levels > 0 && forecast.values.steps > 0;
  const peakRps = hasValues ? usable(peakDemand(forecast, level)) : null;
  const presentRps = lastRps ?? usable(liveRps);
  const known = [presentRps, peakRps].filter((v) => v !== null);
  return {
    presentRps,
    presentSource: lastRps !== null ? "last step" : "telemetry",
    peakRps,
    plannedRps: known.length === 0 ? null : Math.max(...known),
    source: peakRps === null ? "none" : forecast!.source,
    level: forecast?.levels.find((l) => l >= level - 1e-9) ?? forecast?.levels.at(-1) ?? level,
    horizonMs: hasValues ? forecast.stepMs * forecast.values.steps : 0,
    fallbackReasons: forecast?.fallbackReasons ?? ["no forecast was made for this service"],
  };
}

/** A finite rate ≥ 0, or null: a broken number must not steer. */
function usable(rps: number | null): number | null {
  return rps !== null && Number.isFinite(rps) && rps >= 0 ? rps : null;
}
