import type { PlannedTarget } from "../plan/plan.ts";
import type { Actor, Approval } from "./record.ts";

/**
 * One change on its way through the fleet: what an epoch began, over all the epochs of its steps. Plain JSON: each step's record
 * carries it, so that any server can go on with it, or take it back, from the log alone.
 */
export interface Unit {
  /** The epoch that began it. */
  id: number;
  /**
   * - change: goes in steps, and is taken back when a step breaches an objective or cannot be seen.
   * - protective: what must leave, an emergency, a rollback, the first weights. One step on all nodes, watched, never taken back
   *   by itself: what it protects from is worse.
   */
  kind: "change" | "protective";
  services: readonly UnitService[];
  /** Part of the fleet per step, ppm of its nodes; 0 is one node. Ends with all. */
  cohorts: readonly number[];
  /** Steps that the widest service needs; services with fewer stay at their last. */
  steps: number;
  /** From 0. */
  step: number;
  /** Epoch of the step before; null in the first. */
  previous: number | null;
  author: Actor;
  why: string;
  trigger: string;
  /** Every step goes out under it. */
  approval: Approval;
  /** Digest of what the plan was made from: estate and policy. */
  inputs: string;
  /** True: a person had it begin while nothing could be seen of the fleet, so silence does not take it back. */
  unwatched?: true;
}

/** One service's way from what was in force to what shall be. */
export interface UnitService {
  name: string;
  /** nodes: the goal at once, on one part of the fleet after the other. slots: on all nodes, through the shares of `path`. */
  by: "nodes" | "slots";
  /** Its table before, to be named again by a rollback: XXH64 as on the wire. */
  formerTable: string;
  /** Both without targets in a protective unit. */
  former: ServiceShares;
  goal: ServiceShares;
  /** Shares per step, the goal last; for `nodes` the goal alone; empty in a protective unit. */
  path: readonly StepShares[];
}

export interface ServiceShares {
  mode: "observe" | "steer";
  why: string;
  targets: readonly Omit<PlannedTarget, "basePpm">[];
}

export interface StepShares {
  weightPpm: readonly number[];
  stickyPpm: readonly number[];
}

/** How a unit ended before its last step was baked. */
export interface UnitEnd {
  unit: number;
  /** Epoch of its last step. */
  epoch: number;
  /** rolled_back: the former tables are in force again. superseded: a protective change of one of its services took its place. */
  how: "rolled_back" | "superseded";
  /** Taken back by rule, because of what was measured. */
  automatic: boolean;
  reason: string;
}
