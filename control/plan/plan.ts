import type { EstateService } from "../estate/estate.ts";
import type { DemandForecast } from "../forecast/forecast.ts";
import type { TelemetrySnapshot } from "../telemetry/telemetry.ts";

/** All shares are integers in parts per million of the service's requests. */
export const PPM = 1_000_000;

export type CauseKind =
  | "window"
  | "incident"
  | "health"
  | "forecast"
  | "capacity"
  | "telemetry"
  | "floor"
  | "cap"
  | "hysteresis"
  | "step_limit"
  | "sessions"
  | "rounding";

/** One reason why a weight differs from its base. `effectPpm` of all causes of a target add up exactly to weight − base. */
export interface Cause {
  kind: CauseKind;
  /** Ticket number, CI name, forecast source, policy field …: what a person can look up. */
  ref: string;
  effectPpm: number;
  text: string;
}

export interface PlannedTarget {
  name: string;
  basePpm: number;
  /** Share for requests without a session (the `order` quota). */
  weightPpm: number;
  /** Share of sessions (the `sticky` quota). Differs from weightPpm only while the target drains. */
  stickyPpm: number;
  draining: boolean;
  causes: Cause[];
}

export interface PlannedService {
  name: string;
  mode: "observe" | "steer";
  targets: PlannedTarget[];
  /** One line for people. */
  why: string;
  /** True when a live target without a healthy host forces this plan: an emergency epoch. */
  emergency: boolean;
}

export interface ServicePolicy {
  mode: "observe" | "steer";
  /** Base weight per target, ppm, summing to PPM. */
  basePpm: ReadonlyMap<string, number>;
  hasSessions: boolean;
  /** How long before a window opens sessions leave a draining target, ms of planning time. */
  sessionsMoveBeforeMs: number;
  floorPpm: number;
  capPpm: number;
  /** Largest change of a target's share in one step, and the least time between two steps. */
  stepLimitPpm: number;
  stepIntervalMs: number;
  /** Smaller changes than this are left out (never when a window or health forces a move). */
  hysteresisPpm: number;
  /** All traffic is off a target this long before its window opens. */
  leadTimeMs: number;
  /** A target must have been healthy this long after its window closed before it gets traffic again. */
  returnAfterMs: number;
  demandLevel: number;
  /** Base weights hold while no target is expected above this utilisation, 0 … 1. */
  targetUtilisation: number;
  /** Telemetry older than this is not used. */
  telemetryMaxAgeMs: number;
}

export interface PlanInput {
  nowMs: number;
  monotonicMs: number;
  services: ReadonlyMap<string, { estate: EstateService; policy: ServicePolicy }>;
  forecasts: ReadonlyMap<string, DemandForecast>;
  telemetry: TelemetrySnapshot | null;
  /** The plan now in force, with the planning time of each service's last step; null before the first epoch. */
  last: ReadonlyMap<string, { plan: PlannedService; steppedAtMs: number }> | null;
}
