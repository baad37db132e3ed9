import type { Unit } from "../checkpoint/unit.ts";
import type { Metrics } from "./metrics.ts";

/**
 * - activating: its epoch is committed; the fleet is told.
 * - baking: since the fleet answered, until `bakeUntilMs`.
 * - passed: baked; the next step may begin, or it is done.
 */
export type Phase = "activating" | "baking" | "passed";

/** A unit in flight. Times are of the planning clock. */
export interface Flight extends Unit {
  /** Epoch of the present step. */
  epoch: number;
  /** Last position of the cohort, 16 hex digits; null: all nodes. */
  upTo: string | null;
  phase: Phase;
  sinceMs: number;
  bakeUntilMs: number;
  /** Per service, what was measured before the unit's first step. */
  before: Readonly<Record<string, Metrics>>;
  /** Nodes asked to activate the step, and those that failed. */
  asked: number;
  failed: number;
}

/** A service whose last change was taken back automatically: the planner leaves it alone. */
export interface Block {
  service: string;
  /** The epoch that was taken back, and the one that did it. */
  epoch: number;
  byEpoch: number;
  reason: string;
  inputs: string;
  /** Automatic rollbacks of the service since a person last said `resume`. */
  count: number;
  /** False once what plans are made from has changed: the block counts and holds no more. */
  holds: boolean;
}

export interface RolloutState {
  flights: readonly Flight[];
  blocks: readonly Block[];
}

export const NO_ROLLOUTS: RolloutState = { flights: [], blocks: [] };

/** True while a part of the fleet has other tables than the rest. */
export function isPartial(flight: Pick<Flight, "upTo">): boolean {
  return flight.upTo !== null;
}

/** The one unit that is ahead on a part of the fleet, if any. */
export function partialFlight(state: RolloutState): Flight | undefined {
  return state.flights.find(isPartial);
}

export function flightOf(state: RolloutState, service: string): Flight | undefined {
  return state.flights.find(({ services }) => services.some(({ name }) => name === service));
}
