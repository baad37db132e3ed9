import type { EstateService } from "../estate/estate.ts";
import type { DemandForecast } from "../forecast/forecast.ts";
import type { ChangeRisks, RiskSource } from "../forecast/risk/risk.ts";
import type { TelemetrySnapshot } from "../telemetry/telemetry.ts";

/** All shares are integers in parts per million of the service's requests. */
export const PPM = 1_000_000;

export type CauseKind =
  | "window"
  | "incident"
  | "health"
  | "forecast"
  /** A change that may degrade the target: a probability, not a window that forbids it. */
  | "risk"
  | "capacity"
  | "telemetry"
  | "floor"
  | "cap"
  | "hysteresis"
  | "step_limit"
  | "sessions"
  | "rounding"
  /** Change control: a freeze, a person's weights, a change that waits for approval, one in flight (control/change, rollout). */
  | "freeze"
  | "operator"
  | "approval"
  | "rollout";

/** One reason why a weight differs from its base. `effectPpm` of all causes of a target add up exactly to weight − base. */
export interface Cause {
  kind: CauseKind;
  /** Ticket number, CI name, forecast source, policy field …: what a person can look up. */
  ref: string;
  effectPpm: number;
  text: string;
  /** Of a cause of kind `risk`: how likely the change degrades the target that it lies on, and who said so. */
  risk?: { target: string; probability: number; source: RiskSource };
}

export interface PlannedTarget {
  name: string;
  basePpm: number;
  /** Share for requests without a session (the `order` quota). */
  weightPpm: number;
  /** Share of sessions (the `sticky` quota). Differs from weightPpm only while a target of the service drains. */
  stickyPpm: number;
  /** From the first step of leaving (for a window, or without a healthy host) until the target may carry traffic again. */
  draining: boolean;
  causes: Cause[];
}

export interface PlannedService {
  name: string;
  mode: "observe" | "steer";
  targets: PlannedTarget[];
  /** One line for people. */
  why: string;
  /**
   * True when a share had to go at once, beyond the step limit: a target without a healthy host, or one that its window
   * forbids now (an incident, or a window known too late to leave in steps). Asks for an emergency epoch.
   */
  emergency: boolean;
  /** Set when no target of the service is fit to carry traffic and the plan is only the least bad one. One sentence. */
  alarm?: string;
  /** Planning time of the last step: now when this plan differs from the one in force. Goes back in as `last`. */
  steppedAtMs?: number;
  /** Planning time at which the plan is next expected to change by the calendar alone; a hint for the caller's timer. */
  nextChangeAtMs?: number;
}

/**
 * What the planner must remember between calls and cannot see in its inputs. Plain JSON; the caller hands it back unread.
 * Without it (a restart, a take-over) a target that the last plan took out of service must prove its health anew.
 */
export interface PlanMemory {
  /** By service, then by target. Holds exactly the services and targets of the last call. */
  services: { [service: string]: { [target: string]: TargetMemory } };
}

export interface TargetMemory {
  /** The target was out of service (an open window, or no healthy host) and has not yet proved itself since. */
  out: boolean;
  /** Since when it has been healthy without a break and outside every open window; null when it is not. */
  goodSinceMs: number | null;
  /** Start of the window for which the target is being left, per quota; null when it is not. */
  leavingForMs: { order: number | null; sticky: number | null };
}

export interface FleetPlan {
  services: Map<string, PlannedService>;
  memory: PlanMemory;
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
  /** Probability from which risk moves traffic, 0 … 1, and the share of a target's own traffic that it may move at most; absent: nothing. */
  riskFrom?: number;
  /** How likely a change that waits for approval is carried out, 0 … 1; its probability is multiplied by it. Absent: 0. */
  pendingChance?: number;
  riskShiftPpm?: number;
}

export interface PlanInput {
  nowMs: number;
  monotonicMs: number;
  services: ReadonlyMap<string, { estate: EstateService; policy: ServicePolicy }>;
  forecasts: ReadonlyMap<string, DemandForecast>;
  /** Absent: risk is not looked at. */
  risks?: ChangeRisks;
  telemetry: TelemetrySnapshot | null;
  /**
   * The plan now in force, with the planning time of each service's last step; null before the first epoch (then the base
   * weights are taken to be in force, as the user's static route has them).
   */
  last: ReadonlyMap<string, { plan: PlannedService; steppedAtMs: number }> | null;
  /** `memory` of the previous call; absent after a restart. */
  memory?: PlanMemory;
  /** Planning milliseconds per monotonic millisecond, for the age of telemetry; default 1. */
  clockRate?: number;
  /**
   * The longest planning time between two calls, ms; default 0. Steps can only fall on calls, so a drain starts earlier by
   * this much per step. Left at 0 with a coarse caller, the last share of a drain may have to leave at once.
   */
  planIntervalMs?: number;
}
