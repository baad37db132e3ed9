import type { Clock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import type { Restraint } from "../change/restrain.ts";
import type { EntryBody } from "../checkpoint/chain.ts";
import type { Move } from "../checkpoint/moves.ts";
import type { CheckpointStore } from "../checkpoint/store.ts";
import type { Unit } from "../checkpoint/unit.ts";
import type { BallastConfig } from "../config/config.ts";
import type { PlannedService } from "../plan/plan.ts";
import { type Decision, decide, phaseText } from "../rollout/decide.ts";
import { type Flight, flightOf, isPartial, NO_ROLLOUTS, partialFlight, type RolloutState } from "../rollout/flight.ts";
import { foldRollout, type LiftNote, ROLLOUT_TOPIC, type WatchNote } from "../rollout/fold.ts";
import type { RolloutMeter } from "../rollout/meter.ts";
import type { Metrics } from "../rollout/metrics.ts";
import { formerPlan, nextStep } from "../rollout/way.ts";
import type { WeightTable } from "../table/table.ts";
import { positionOf } from "../xds/cohort.ts";
import type { RoundOutcome } from "../xds/round.ts";
import type { Draft } from "./checkpoint-record.ts";
import { restoreFolded } from "./folded-log.ts";
import type { InForce } from "./in-force.ts";
import { RolloutWatch } from "./rollout-watch.ts";
import { rollbackDraft, setBefore, stepDraft } from "./step-draft.ts";

/** What is in flight, read from the log. */
export function restoreRollouts(store: CheckpointStore): Promise<RolloutState> {
  return restoreFolded(store, { topic: ROLLOUT_TOPIC.state, empty: NO_ROLLOUTS, fold: foldRollout });
}

export interface RolloutsOptions {
  config: BallastConfig;
  clock: Clock;
  wallMs: () => number;
  store: Pick<CheckpointStore, "append" | "tables">;
  term: number;
  state: RolloutState;
  meter: RolloutMeter;
  /** Planning milliseconds per monotonic millisecond. */
  clockRate: number;
  /** Ids of the nodes that are connected now. */
  nodeIds: () => readonly string[];
  /** Why no step of these services may begin now; null when it may. */
  restraintOf: (services: readonly string[]) => string | null;
  /** Digest of what plans are made from now. */
  inputs: string;
  log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
}

/** What a unit in flight is doing, for status. */
export interface FlightView {
  flight: Flight;
  text: string;
  alarm: string | null;
  /** Remaining time of the bake, planning ms. */
  bakeLeftMs: number;
}

type Finding = Pick<Flight, "epoch" | "phase"> & Pick<FlightView, "text" | "alarm">;

/** A write of the rollout's own: the next step of a unit, or its rollback. */
export interface Due {
  flight: Flight;
  decision: Extract<Decision, { kind: "advance" | "roll_back" }>;
}

/** Who writes epochs, as far as rollouts need it. */
export interface StepWriter {
  readonly inForce: InForce | null;
  plansInForce(): Map<string, PlannedService>;
  write(draft: Draft, approval: Unit["approval"] | null): Promise<boolean>;
}

const BLIND = "no Envoy's telemetry is heard: a change could not be watched";
/** A step or a rollback that the fleet did not take is tried again no sooner than this. */
const RETRY_MS = 5_000;

/**
 * Takes units through their steps: keeps their state, measures them, writes down what becomes of them. What becomes of them is
 * decided by `control/rollout/decide.ts`.
 */
export class Rollouts {
  readonly #options: RolloutsOptions;
  readonly watcher: RolloutWatch;
  #state: RolloutState;
  /** By unit: what the last look found. */
  #found = new Map<number, Finding>();
  /** By unit: a write that the fleet or the store did not take, or that was refused as unsafe; `reason` for a rollback. */
  readonly #failed = new Map<number, { atMonotonicMs: number; reason: string | null }>();

  constructor(options: RolloutsOptions) {
    this.#options = options;
    this.watcher = new RolloutWatch(options);
    this.#state = options.state;
  }

  get state(): RolloutState {
    return this.#state;
  }

  /** What is in flight, with what the last look found of it. */
  get views(): readonly FlightView[] {
    const nowMs = this.#options.clock.nowMs();
    return this.#state.flights.map((flight) => {
      const found = this.#found.get(flight.id);
      const known = found?.epoch === flight.epoch && found.phase === flight.phase;
      const { text, alarm } = known ? found : { text: phaseText(flight, nowMs), alarm: null };
      const bakeLeftMs = flight.phase === "baking" ? Math.max(0, flight.bakeUntilMs - nowMs) : 0;
      return { flight, text, alarm, bakeLeftMs };
    });
  }

  /** Why an automatic rollback could not be made. */
  get stuck(): string | null {
    for (const { reason } of this.#failed.values()) if (reason !== null) return reason;
    return null;
  }

  get inputs(): string {
    return this.#options.inputs;
  }

  /** An entry of the log that was written. */
  observe(body: EntryBody): void {
    this.#state = foldRollout(this.#state, body);
    const flying = new Map(this.#state.flights.map(({ id, epoch }) => [id, epoch]));
    for (const unit of this.#failed.keys()) if (!flying.has(unit)) this.#failed.delete(unit);
    this.watcher.keepOnly(this.#state.flights);
  }

  replace(state: RolloutState): void {
    this.watcher.keepOnly([]);
    this.#state = state;
  }

  /** Writes the whole state once, so that the next start need not read further back. */
  async snapshot(): Promise<void> {
    await this.#note(ROLLOUT_TOPIC.state, null, this.#state);
  }

  /** Why the planner may not move a service freely now: a block, or a change in flight that has to bake first. */
  restraintOf(service: string): Restraint | null {
    const block = this.#state.blocks.find((one) => one.service === service && one.holds);
    if (block !== undefined) {
      const until = block.count >= this.#options.config.rollout.maxRollbacks ? "" : " or its inputs change";
      const text = `epoch ${block.epoch} was rolled back automatically by epoch ${block.byEpoch}: ${block.reason}; held until \`ballast resume --services ${service}\`${until}`;
      return { kind: "rollout", ref: `epoch ${block.byEpoch}`, text };
    }
    const flight = this.inTheWayOf(service);
    if (flight !== null) return { kind: "rollout", ref: `epoch ${flight.epoch}`, text: waitsFor(flight) };
    return this.watcher.isBlind() ? { kind: "rollout", ref: "telemetry", text: BLIND } : null;
  }

  /** The unit that must be through before another change of the service begins; null: none. */
  inTheWayOf(service: string): Flight | null {
    const own = flightOf(this.#state, service);
    if (own?.kind === "change") return own;
    const partial = partialFlight(this.#state);
    const bySlots = this.#options.config.services.get(service)?.sessions !== null;
    return partial !== undefined && !bySlots ? partial : null;
  }

  /** Throws CHANGE_IN_FLIGHT when a change of one of the services is on its way, CHANGE_UNWATCHED when none could be watched. */
  roomFor(services: readonly string[], breakGlass: boolean): void {
    for (const service of services) {
      const flight = this.inTheWayOf(service);
      if (flight !== null) {
        throw new BallastError("CHANGE_IN_FLIGHT", `${service}: ${waitsFor(flight)}`, {
          hint: "Wait until it is through, or take it back with `ballast rollback`.",
        });
      }
    }
    if (!breakGlass && this.watcher.isBlind()) throw new BallastError("CHANGE_UNWATCHED", BLIND);
  }

  /**
   * What most of the fleet uses: where a part goes ahead, the services of that unit as they were. Plans start from it, since a
   * plan that must go to all nodes must not bring them what is not proved.
   */
  baseline(inForce: InForce): { plans: Map<string, PlannedService>; tables: Map<string, WeightTable> } {
    const plans = new Map([...inForce.last].map(([name, { plan }]) => [name, plan]));
    const tables = new Map(inForce.tables);
    const partial = partialFlight(this.#state);
    for (const service of partial?.services ?? []) {
      const plan = plans.get(service.name);
      const table = inForce.rest?.tables.get(service.name);
      if (plan === undefined || table === undefined) continue;
      plans.set(service.name, formerPlan(service, plan));
      tables.set(service.name, table);
    }
    return { plans, tables };
  }

  /** The fleet has answered the activation of a step: from now on it is watched. */
  async watch(epoch: number, before: Record<string, Metrics>, activated: RoundOutcome): Promise<void> {
    const flight = this.#state.flights.find((one) => one.epoch === epoch);
    if (flight === undefined) return;
    const asked = activated.nodes.length;
    const failed = activated.nodes.filter(({ answer }) => answer === "nack" || answer === "none").length;
    await this.#watch(flight, { before: flight.step === 0 ? before : flight.before, asked, failed });
  }

  async #watch(flight: Flight, found: Pick<WatchNote, "before" | "asked" | "failed">): Promise<void> {
    const { clock, config } = this.#options;
    const sinceMs = clock.nowMs();
    const note: WatchNote = { unit: flight.id, sinceMs, bakeUntilMs: sinceMs + config.rollout.bakeMs, ...found };
    await this.#note(ROLLOUT_TOPIC.watch, flight.epoch, note);
    this.watcher.begin(flight);
  }

  /**
   * Looks at every unit: writes down what is baked or done, and returns the most urgent write that is due, or null. Call it
   * between two epochs.
   */
  async look(inForce: InForce | null): Promise<Due | null> {
    if (inForce === null) return null;
    await this.#lift();
    let due: Due | null = null;
    const found = new Map<number, Finding>();
    for (const { id } of this.#state.flights) {
      for (;;) {
        const flight = this.#state.flights.find((one) => one.id === id);
        if (flight === undefined) break;
        // Of a server before this one: nobody watched, so the step bakes again.
        if (!this.watcher.watches(id) && flight.phase !== "passed") {
          const { before, asked, failed } = flight;
          await this.#watch(flight, { before, asked, failed });
          continue;
        }
        const decision = this.#decide(flight, inForce);
        if (decision.kind === "again") {
          const { before, asked } = flight;
          found.set(id, findingOf(flight, decision));
          await this.#watch(flight, { before, asked, failed: 0 });
          break;
        }
        if (decision.kind === "pass") {
          const { text, seen, more } = decision;
          const detail = { text, seen, ...(more ? { more: true as const } : {}) };
          await this.#move(flight, { move: "bake", from: "active", to: "baked", detail });
          continue;
        }
        if (decision.kind === "finish") {
          await this.#move(flight, { move: "close", from: "baked", to: "closed", detail: { text: decision.text } });
          this.#options.log.info({ unit: id, epoch: flight.epoch }, decision.text);
          break;
        }
        const urgent = decision.kind === "roll_back";
        if (urgent || decision.kind === "advance") {
          if (due === null || (urgent && due.decision.kind !== "roll_back")) due = { flight, decision };
        }
        found.set(id, findingOf(flight, decision));
        break;
      }
    }
    this.#found = found;
    return due;
  }

  /** Carries out what is due. `unsafe` says why the former weights of a unit must not come back now; null when they may. */
  async act(
    { flight, decision }: Due,
    writer: StepWriter,
    unsafe: (plans: readonly PlannedService[]) => string | null,
  ): Promise<void> {
    // Between the look and now another epoch may have ended the unit, or moved it on.
    const now = this.#state.flights.find(({ id }) => id === flight.id);
    if (now === undefined || now.epoch !== flight.epoch || now.phase !== flight.phase || writer.inForce === null)
      return;
    const { clock } = this.#options;
    const failed = this.#failed.get(now.id);
    // A rollback does not wait because a step could not be made.
    const waits = failed !== undefined && (decision.kind === "advance" || failed.reason !== null);
    if (waits && clock.monotonicMs() - failed.atMonotonicMs < RETRY_MS) return;
    const stuck =
      decision.kind === "advance"
        ? await this.#advance(now, decision.step, writer)
        : await this.#rollBack(now, decision.reason, writer, unsafe);
    this.#failed.delete(now.id);
    if (stuck !== null) this.#failed.set(now.id, { atMonotonicMs: clock.monotonicMs(), ...stuck });
  }

  /** Null when it was written. */
  async #advance(flight: Flight, step: number, writer: StepWriter): Promise<{ reason: null } | null> {
    const { config, wallMs } = this.#options;
    const plans = [...writer.plansInForce().values()];
    const tables = writer.inForce!.tables;
    const { draft, approval } = stepDraft(flight, step, {
      plans,
      tables,
      slots: config.tables.slots,
      wallMs: wallMs(),
    });
    return (await writer.write(draft, approval)) ? null : { reason: null };
  }

  async #rollBack(
    flight: Flight,
    reason: string,
    writer: StepWriter,
    unsafe: (plans: readonly PlannedService[]) => string | null,
  ): Promise<{ reason: string } | null> {
    const { log, store } = this.#options;
    const stored = await store.tables(flight.services.map(({ formerTable }) => BigInt(`0x${formerTable}`)));
    const set = setBefore(flight, writer.inForce!.set, stored);
    const draft = rollbackDraft(flight, reason, { plans: [...writer.plansInForce().values()], set });
    const danger = unsafe(draft.services.filter(({ name }) => flight.services.some((one) => one.name === name)));
    if (danger !== null) {
      log.warn({ unit: flight.id, reason, danger }, "automatic rollback refused");
      return { reason: `${draft.why}; but ${danger}` };
    }
    log.warn({ unit: flight.id, epoch: flight.epoch, reason }, "automatic rollback");
    return (await writer.write(draft, null)) ? null : { reason: draft.why };
  }

  /** Blocks whose inputs have changed since: the same plan will not be made again. */
  async #lift(): Promise<void> {
    const { inputs, config, log } = this.#options;
    const { maxRollbacks } = config.rollout;
    const over = this.#state.blocks.filter(
      (block) => block.holds && block.inputs !== inputs && block.count < maxRollbacks,
    );
    if (over.length === 0) return;
    const services = over.map(({ service }) => service);
    const note: LiftNote = { services, reason: "what plans are made from has changed" };
    await this.#note(ROLLOUT_TOPIC.lift, null, note);
    log.info({ services }, "held services are planned again: their inputs have changed");
  }

  #decide(flight: Flight, inForce: InForce): Decision {
    const { clock, config, nodeIds, restraintOf } = this.#options;
    const ids = nodeIds();
    const partial = isPartial(flight);
    const reached = partial ? ids.filter((id) => positionOf(id) <= BigInt(`0x${flight.upTo}`)).length : ids.length;
    const passthrough = inForce.record.mode === "passthrough";
    return decide(flight, {
      nowMs: clock.nowMs(),
      policy: this.watcher.policy,
      objectives: new Map([...config.services].map(([name, { objective }]) => [name, objective])),
      observation: this.watcher.observation(flight),
      nextStep: nextStep(flight, { nodes: ids.length, partial, reached }),
      restraint: passthrough ? "the kill switch is on" : restraintOf(flight.services.map(({ name }) => name)),
    });
  }

  async #move(flight: Flight, move: Omit<Move<"bake" | "close">, "atMs">): Promise<void> {
    const body = { kind: "move", epoch: flight.epoch, move: { ...move, atMs: this.#options.wallMs() } } as const;
    await this.#options.store.append(body, { term: this.#options.term });
    this.observe(body);
  }

  async #note(topic: string, epoch: number | null, detail: unknown): Promise<void> {
    const body = { kind: "note", epoch, topic, detail } as const;
    await this.#options.store.append(body, { term: this.#options.term });
    this.observe(body);
  }
}

function findingOf({ epoch, phase }: Flight, decision: Decision) {
  const text =
    decision.kind === "roll_back" ? decision.reason : "text" in decision ? decision.text : "the next step is due";
  return { epoch, phase, text, alarm: "alarm" in decision ? decision.alarm : null };
}

function waitsFor(flight: Flight): string {
  return `epoch ${flight.epoch} is on its way (step ${flight.step + 1} of ${flight.steps}, ${flight.phase})`;
}
