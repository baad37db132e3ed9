import { type NoteDetail, TOPIC } from "../change/ledger.ts";
import type { EntryBody } from "../checkpoint/chain.ts";
import type { Block, Flight, RolloutState } from "./flight.ts";
import type { Metrics } from "./metrics.ts";

/** Topics of the notes that a rollout writes. */
export const ROLLOUT_TOPIC = {
  /** The fleet has answered the step's activation: the bake begins (anew, after a change of servers). */
  watch: "rollout.watch",
  /** Blocks that are lifted because what plans are made from has changed. */
  lift: "rollout.lift",
  /** The whole state, so that a server that starts need not read the log from its beginning. */
  state: "rollout.state",
} as const;

export interface WatchNote {
  unit: number;
  /** Planning time. */
  sinceMs: number;
  bakeUntilMs: number;
  before: Readonly<Record<string, Metrics>>;
  asked: number;
  failed: number;
}

export interface LiftNote {
  services: readonly string[];
  reason: string;
}

/**
 * What is in flight after one more entry of the log. Pure, so that a server that takes over comes to the same as the one that
 * wrote it. The commit of an epoch is what begins a step, and what ends units that it takes back or takes the place of.
 */
export function foldRollout(state: RolloutState, body: EntryBody): RolloutState {
  switch (body.kind) {
    case "checkpoint": {
      const { state: at, record } = body.checkpoint;
      if (at !== "active") return state;
      const { ends = [], rollout, cohort, epoch } = record;
      const ended = new Set(ends.map(({ unit }) => unit));
      const blocks = new Map(state.blocks.map((block) => [block.service, block]));
      let flights = state.flights.filter((flight) => {
        if (!ended.has(flight.id)) return true;
        const end = ends.find(({ unit }) => unit === flight.id)!;
        if (end.automatic)
          for (const block of blocksOf(flight, end.reason, epoch, blocks)) blocks.set(block.service, block);
        return false;
      });
      if (rollout !== undefined) {
        const earlier = flights.find(({ id }) => id === rollout.id);
        const { plannedAtMs } = record;
        const begun: Flight = {
          ...rollout,
          epoch,
          upTo: cohort !== undefined && cohort.unit === rollout.id ? cohort.upTo : null,
          phase: "activating",
          sinceMs: plannedAtMs,
          bakeUntilMs: plannedAtMs,
          before: earlier?.before ?? {},
          asked: 0,
          failed: 0,
        };
        flights = [...flights.filter(({ id }) => id !== rollout.id), begun];
      }
      return { flights, blocks: [...blocks.values()] };
    }
    case "move": {
      const { move } = body.move;
      if (move === "bake") return changed(state, body.epoch, (flight) => ({ ...flight, phase: "passed" }));
      if (move !== "close" && move !== "supersede" && move !== "rollBack") return state;
      return { ...state, flights: state.flights.filter(({ epoch }) => epoch !== body.epoch) };
    }
    case "note":
      if (body.topic === ROLLOUT_TOPIC.state) return body.detail as RolloutState;
      if (body.topic === ROLLOUT_TOPIC.watch && body.epoch !== null) {
        const { unit: _unit, ...watch } = body.detail as WatchNote;
        return changed(state, body.epoch, (flight) => ({ ...flight, ...watch, phase: "baking" }));
      }
      if (body.topic === ROLLOUT_TOPIC.lift) {
        const { services } = body.detail as LiftNote;
        const lift = (block: Block) => (services.includes(block.service) ? { ...block, holds: false } : block);
        return { ...state, blocks: state.blocks.map(lift) };
      }
      if (body.topic === TOPIC.resume)
        return resumed(state, (body.detail as NoteDetail[typeof TOPIC.resume]).services ?? null);
      return state;
    case "reserve":
      return state;
  }
}

/** A person lets the planner go on; `services` null: with all of them. */
function resumed(state: RolloutState, services: readonly string[] | null): RolloutState {
  const blocks = services === null ? [] : state.blocks.filter(({ service }) => !services.includes(service));
  return { ...state, blocks };
}

function blocksOf(flight: Flight, reason: string, byEpoch: number, known: ReadonlyMap<string, Block>): Block[] {
  return flight.services.map(({ name: service }) => ({
    service,
    epoch: flight.epoch,
    byEpoch,
    reason,
    inputs: flight.inputs,
    count: (known.get(service)?.count ?? 0) + 1,
    holds: true,
  }));
}

function changed(state: RolloutState, epoch: number, change: (flight: Flight) => Flight): RolloutState {
  return { ...state, flights: state.flights.map((flight) => (flight.epoch === epoch ? change(flight) : flight)) };
}
