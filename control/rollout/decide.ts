import { type Flight, isPartial } from "./flight.ts";
import type { Objective } from "./metrics.ts";
import { breachOf, type Seen, seenText } from "./objective.ts";

export interface RolloutPolicy {
  /** Parts of the fleet, ppm of its nodes, rising to all; 0 is one node. */
  cohorts: readonly number[];
  /** Largest move of a share in one step by slots, ppm; null: the service's own step limit. */
  slotStepPpm: number | null;
  /** Planning time. */
  bakeMs: number;
  /** Telemetry may be missing for so long, planning time. */
  telemetryGapMs: number;
  /** More of the nodes that fail to activate, or fall silent, take the change back; ppm. */
  maxFailedPpm: number;
  /** Automatic rollbacks of a service after which only a person lets the planner go on. */
  maxRollbacks: number;
}

/** What can be seen of a unit's nodes now. */
export interface Observation {
  services: ReadonlyMap<string, Seen>;
  /** Null: no telemetry is configured, nothing can be missing. */
  nodes: {
    /** Nodes of the cohort that were heard of since the step began and within the gap. */
    reporting: number;
    /** Names of those that reported when it began and have been silent for the whole gap. */
    silent: readonly string[];
  } | null;
}

export type Decision =
  /** `alarm` is what a person must hear of, where the unit cannot be taken back by itself. */
  | { kind: "wait"; text: string; alarm: string | null }
  /** The bake of what cannot be taken back is over and something was breached: it is watched for another bake. */
  | { kind: "again"; text: string; alarm: string }
  /** The bake is over and nothing was breached. */
  | { kind: "pass"; text: string; seen: Readonly<Record<string, Seen>>; more: boolean }
  /** Begin step `step`. */
  | { kind: "advance"; step: number }
  /** Every step is baked. */
  | { kind: "finish"; text: string }
  | { kind: "roll_back"; reason: string };

export interface Situation {
  nowMs: number;
  policy: RolloutPolicy;
  objectives: ReadonlyMap<string, Objective>;
  observation: Observation;
  /** The next step that changes anything; null: this is the last. */
  nextStep: number | null;
  /** Why no step may begin now (a freeze, a hold); null when it may. */
  restraint: string | null;
}

/**
 * What becomes of a unit now. Pure. A bake is never cut short but by a rollback; a step follows only a baked one.
 */
export function decide(flight: Flight, situation: Situation): Decision {
  const wrong = troubleOf(flight, situation);
  const { nowMs, nextStep, restraint, observation } = situation;
  if (wrong !== null && flight.phase !== "activating") {
    if (flight.kind === "change") return { kind: "roll_back", reason: wrong };
    if (flight.phase === "baking")
      return { kind: nowMs < flight.bakeUntilMs ? "wait" : "again", text: wrong, alarm: wrong };
  }
  switch (flight.phase) {
    case "activating":
      return { kind: "wait", text: phaseText(flight, nowMs), alarm: null };
    case "baking": {
      if (nowMs < flight.bakeUntilMs) return { kind: "wait", text: phaseText(flight, nowMs), alarm: null };
      const seen = [...observation.services].map(([name, one]) => `${name}: ${seenText(one)}`);
      const text = seen.length === 0 ? "nothing is measured of it" : seen.join("; ");
      const more = nextStep !== null || isPartial(flight);
      return { kind: "pass", text, seen: Object.fromEntries(observation.services), more };
    }
    case "passed":
      if (nextStep === null) {
        // A cohort that has not reached the whole fleet is not done, whatever was found of the nodes.
        if (isPartial(flight)) return { kind: "advance", step: flight.steps - 1 };
        return { kind: "finish", text: `${flight.step + 1} of ${flight.steps} steps baked` };
      }
      if (restraint !== null) return { kind: "wait", text: restraint, alarm: null };
      return { kind: "advance", step: nextStep };
  }
}

/** What a unit does as long as nothing is wrong with it. */
export function phaseText({ phase, bakeUntilMs }: Pick<Flight, "phase" | "bakeUntilMs">, nowMs: number): string {
  if (phase === "activating") return "the fleet is being told";
  if (phase === "passed") return "the next step is due";
  return `bakes for another ${Math.max(0, Math.ceil((bakeUntilMs - nowMs) / 1000))} s`;
}

/** Why the unit must not go on; null when nothing speaks against it. */
function troubleOf(flight: Flight, { policy, objectives, observation, nowMs }: Situation): string | null {
  const { asked, failed } = flight;
  if (failed > 0 && failed * 1e6 > policy.maxFailedPpm * asked) {
    return `${failed} of ${asked} nodes did not activate epoch ${flight.epoch}`;
  }
  for (const [name, seen] of observation.services) {
    const objective = objectives.get(name);
    const breach = objective === undefined ? null : breachOf(objective, seen);
    if (breach !== null) return `${name}: ${breach}`;
  }
  const { nodes } = observation;
  if (nodes === null || policy.bakeMs === 0) return null;
  const gap = `${policy.telemetryGapMs / 1000} s`;
  const expected = nodes.reporting + nodes.silent.length;
  if (nodes.silent.length > 0 && nodes.silent.length * 1e6 > policy.maxFailedPpm * expected) {
    return `no telemetry for ${gap} from ${nodes.silent.slice(0, 3).join(", ")}${nodes.silent.length > 3 ? " and others" : ""}`;
  }
  if (nodes.reporting === 0 && nowMs - flight.sinceMs > policy.telemetryGapMs) {
    return `no telemetry for ${gap} from any node that has the step`;
  }
  return null;
}
