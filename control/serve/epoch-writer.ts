import type { Clock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { changes, type Judgement, judge, withFleetMode, withModel } from "../change/judge.ts";
import type { Approval, Verdict } from "../checkpoint/record.ts";
import type { CheckpointStore } from "../checkpoint/store.ts";
import type { BallastConfig } from "../config/config.ts";
import type { PlanInput, PlannedService, ServicePolicy } from "../plan/plan.ts";
import { nextStep, nodesAt } from "../rollout/way.ts";
import type { BuiltTable } from "../table/build.ts";
import type { FleetPush } from "../xds/push.ts";
import { type ChangeDesk, restoreLedger } from "./change-desk.ts";
import { type Draft, policyDigestOf, recordOf } from "./checkpoint-record.ts";
import { type Course, courseOf } from "./course.ts";
import { EpochCounts } from "./epoch-counts.ts";
import { cohortFor, earlierEpochs, fromCheckpoint, type InForce, restoreInForce, settleEarlier } from "./in-force.ts";
import { release } from "./release.ts";
import { type Rollouts, restoreRollouts } from "./rollouts.ts";

export interface EpochWriterOptions {
  config: BallastConfig;
  clock: Clock;
  wallMs?: () => number;
  estateDigest: string;
  services: PlanInput["services"];
  store: CheckpointStore;
  fleet: Pick<FleetPush, "stage" | "activate" | "abort" | "restore">;
  rollouts: Rollouts;
  /** Ids of the nodes that are connected now. */
  nodeIds: () => readonly string[];
  /** Fencing token of the lease that this server holds. */
  term: number;
  inForce: InForce | null;
  desk: ChangeDesk;
  /** Names the model behind the plans; null without one. */
  model: () => string | null;
  /** Names the change-risk model behind them; null without one. */
  riskModel: () => string | null;
  log: { info(fields: object, text: string): void; warn(fields: object, text: string): void };
  onEpoch?: (epoch: ActiveEpoch) => void;
  /** Time the fleet gets to prove a set, to use it, and the same in an emergency. */
  stageDeadlineMs?: number;
  emergencyDeadlineMs?: number;
}

export interface ActiveEpoch {
  inForce: InForce;
  /** Wall time of the last acknowledgement of the activation. */
  atMs: number;
  /** Null for tables that are named again and not built. */
  tables: ReadonlyMap<string, BuiltTable> | null;
  skewMs: number | null;
}

export interface Failure {
  digest: bigint;
  reason: string;
  atMonotonicMs: number;
}

const DEFAULTS = { stageDeadlineMs: 5_000, emergencyDeadlineMs: 2_000 };
/** Stands in the unit of a draft that is refused: nothing of it is committed. */
const REFUSED: Approval = { kind: "rule", by: { kind: "rule", name: "policy" }, atMs: 0 };

/** Makes epochs of drafts, one at a time, and knows what is in force. */
export class EpochWriter {
  readonly #options: EpochWriterOptions & typeof DEFAULTS & { wallMs: () => number };
  readonly #policyDigest: string;
  readonly #policies: ReadonlyMap<string, ServicePolicy>;
  readonly counts = new EpochCounts();
  #inForce: InForce | null;
  #pushing: { emergency: boolean; done: Promise<void> } | null = null;
  #failed: Failure | null = null;
  /** True while the fleet proves a set: only then may it be taken back. */
  #staging = false;
  /** A write ended with an error: the store may have taken it all the same. */
  #unsure = false;

  constructor(options: EpochWriterOptions) {
    this.#options = { wallMs: Date.now, ...DEFAULTS, ...options };
    this.#policyDigest = policyDigestOf(options.config);
    this.#policies = new Map([...options.services].map(([name, { policy }]) => [name, policy]));
    this.#inForce = options.inForce;
  }

  get inForce(): InForce | null {
    return this.#inForce;
  }

  /** What is being pushed now; null between epochs. */
  get pushing(): { emergency: boolean; done: Promise<void> } | null {
    return this.#pushing;
  }

  /** Why the last set was not released; null when it was. */
  get failed(): Failure | null {
    return this.#failed;
  }

  forgetFailure(): void {
    this.#failed = null;
  }

  get policyDigest(): string {
    return this.#policyDigest;
  }

  get policies(): ReadonlyMap<string, ServicePolicy> {
    return this.#policies;
  }

  /** The plans in force by service; empty before the first epoch. */
  plansInForce(): Map<string, PlannedService> {
    return new Map([...(this.#inForce?.last ?? [])].map(([name, { plan }]) => [name, plan]));
  }

  /** Takes back a set that the fleet has not proved yet, to make room; after that there is only forward. */
  yieldTo(what: string): void {
    if (this.#staging && this.#pushing?.emergency === false) this.#options.fleet.abort(`${what} takes its place`);
  }

  /** Runs one piece of work at a time, after the one in flight; an emergency does not wait for a fleet to prove another set. */
  async exclusively<T>(emergency: boolean, work: () => Promise<T>): Promise<T> {
    if (emergency) this.yieldTo("an emergency");
    while (this.#pushing !== null) await this.#pushing.done;
    const { promise: done, resolve } = Promise.withResolvers<void>();
    this.#pushing = { emergency, done };
    try {
      return await work();
    } finally {
      this.#pushing = null;
      resolve();
    }
  }

  judge(draft: Pick<Draft, "services" | "emergency" | "trigger" | "modelChange" | "mode">): Judgement {
    const mode = this.#inForce?.record.mode ?? "steer";
    const bounds = judge({
      services: draft.services,
      before: this.plansInForce(),
      policies: this.policies,
      bounds: this.#options.config.changeControl.standard,
      by: draft.trigger === "operator" ? "person" : "planner",
      emergency: draft.emergency,
    });
    const judgement = withFleetMode(bounds, mode, draft.mode ?? mode);
    return draft.modelChange === undefined ? judgement : withModel(judgement, draft.modelChange);
  }

  /** The steps that a draft would go in now: how many nodes of how many have each. */
  preview(draft: Draft): { nodes: number[]; of: number } {
    const { unit } = this.#course(draft, Number.MAX_SAFE_INTEGER, REFUSED);
    const of = this.#options.nodeIds().length;
    const nodes: number[] = [];
    for (let step: number | null = 0; step !== null; ) {
      const reached = nodesAt(unit, step, of);
      nodes.push(reached);
      step = nextStep({ ...unit, step }, { nodes: of, partial: reached < of, reached });
    }
    return { nodes, of };
  }

  #course(draft: Draft, epoch: number, approval: Approval): Course {
    const { config, rollouts } = this.#options;
    return courseOf({
      draft,
      epoch,
      inForce: this.#inForce,
      state: rollouts.state,
      nodeIds: this.#options.nodeIds(),
      policies: this.#policies,
      policy: config.rollout,
      slots: config.tables.slots,
      approval,
      inputs: rollouts.inputs,
      blind: rollouts.watcher.isBlind(),
      watched: rollouts.watcher.nodes(),
    });
  }

  /**
   * The whole life of a draft up to its activation. `approval` is that of a person; without one the rules decide. False when
   * it was refused or aborted: `failed` says why, and what serves is as before. Call it inside `exclusively`.
   */
  async write(wanted: Draft, approval: Approval | null = null): Promise<boolean> {
    const { store, fleet, clock, config, term, log, desk, rollouts, wallMs } = this.#options;
    if (this.#unsure) await this.#readAgain();
    const before = this.#inForce;
    const epoch = await store.reserve(before?.epoch ?? 0, { holder: config.fleet, term });
    const judgement = this.judge(wanted);
    const owes = wanted.emergency || wanted.breakGlass !== undefined;
    const given = approval ?? this.#byRule(judgement, owes);
    const course = this.#course(wanted, epoch, given ?? REFUSED);
    const { draft, unit } = course;
    const nowMs = clock.nowMs();
    const record = recordOf(draft, {
      fleet: config.fleet,
      epoch,
      term,
      plannedAtMs: nowMs,
      createdAtMs: wallMs(),
      changeType: owes && approval === null ? "emergency" : judgement.changeType,
      before,
      policyDigest: this.#policyDigest,
      estateDigest: this.#options.estateDigest,
      model: this.#options.model(),
      riskModel: this.#options.riskModel(),
      pins: this.#pinsAfter(draft, epoch),
      course,
    });
    const draining = draft.services.some((service) => service.targets.some((target) => target.draining));
    const deadlineMs = draft.emergency ? this.#options.emergencyDeadlineMs : this.#options.stageDeadlineMs;
    const seenBefore = rollouts.watcher.before(unit.services.map(({ name }) => name));
    const rest = course.rest;
    this.#unsure = true;
    const result = await release(
      { store, fleet: this.#watchedFleet(), clock, wallMs },
      {
        record,
        set: draft.set,
        ...cohortFor({ record, rest: rest === null ? null : { set: rest, tables: new Map() } }),
        verdicts: [...judgement.verdicts, ...this.#freezeVerdicts(draft)],
        approval: judgement.sound ? given : null,
        by: { kind: "rule", name: "the fleet proved the set" },
        // An emergency or a drain must not wait for a node that does not answer: what it would protect is going away.
        quorum: draft.emergency || draining ? "whoever" : "all",
        stageDeadlineMs: deadlineMs,
        activateDeadlineMs: deadlineMs,
      },
    ).catch((thrown) => {
      fleet.abort("the store did not take the commit");
      throw thrown;
    });
    this.#unsure = false;
    if (!result.committed) {
      this.counts.failed(result.round);
      this.#failed = { digest: wanted.set.digest, reason: result.reason, atMonotonicMs: clock.monotonicMs() };
      log.warn({ epoch, reason: result.reason }, "epoch not released");
      return false;
    }
    this.#failed = null;
    const flew = rollouts.state.flights.map((flight) => flight.epoch);
    const body = { kind: "checkpoint", epoch, checkpoint: result.checkpoint } as const;
    desk.observe(body);
    rollouts.observe(body);
    const next = fromCheckpoint(result.checkpoint, draft.set, config, rest);
    this.#inForce = { ...next, last: this.#lastAfter(draft.services, before, nowMs) };
    const skewMs = this.counts.released(record, result.staged, result.activated);
    log.info({ epoch, trigger: draft.trigger, why: draft.why, skewMs }, "epoch active");
    this.#options.onEpoch?.({ inForce: this.#inForce, atMs: wallMs(), tables: draft.tables, skewMs });
    // Should one of these fail the store is read again before the next write.
    this.#unsure = true;
    await rollouts.watch(epoch, seenBefore, result.activated);
    await this.#settle(flew);
    this.#unsure = false;
    // Without a bake the step is through; the next change of the service need not wait for a tick.
    if (config.rollout.bakeMs === 0) await rollouts.look(this.#inForce);
    return true;
  }

  async #settle(earlier: readonly number[]): Promise<void> {
    const { store, rollouts, term, wallMs } = this.#options;
    const flying = rollouts.state.flights.map(({ epoch }) => epoch);
    await settleEarlier(store, this.#inForce!, { earlier, flying }, { term, atMs: wallMs() });
  }

  /** As `write`, for callers that cannot go on without it: throws PUSH_FAILED. */
  async mustWrite(draft: Draft, approval: Approval | null = null): Promise<InForce> {
    if (await this.write(draft, approval)) return this.#inForce!;
    throw new BallastError("PUSH_FAILED", this.#failed?.reason ?? "the set was not released");
  }

  /** Notices when the set is proved: from then on it is not taken back. */
  #watchedFleet(): Pick<FleetPush, "stage" | "activate" | "restore"> {
    const { fleet } = this.#options;
    return {
      stage: async (set, options) => {
        this.#staging = true;
        try {
          return await fleet.stage(set, options);
        } finally {
          this.#staging = false;
        }
      },
      activate: (options) => fleet.activate(options),
      restore: (memory) => fleet.restore(memory),
    };
  }

  /** What the store says, after a write whose outcome is not known or that another server overtook. */
  async #readAgain(): Promise<void> {
    const { store, config, desk, rollouts, fleet } = this.#options;
    const [{ inForce, memory }, state] = [await restoreInForce(store, config), await restoreLedger(store)];
    this.#inForce = inForce;
    desk.replace(state);
    rollouts.replace(await restoreRollouts(store));
    fleet.restore(memory);
    if (inForce !== null) await this.#settle(await earlierEpochs(store, inForce));
    this.#unsure = false;
  }

  #byRule(judgement: Judgement, owes: boolean): Approval | null {
    const atMs = this.#options.wallMs();
    if (owes) {
      const dueMs = atMs + this.#options.config.changeControl.emergency.approveWithinMs;
      return { kind: "owed", by: { kind: "rule", name: "emergency" }, atMs, dueMs };
    }
    if (judgement.changeType !== "standard") return null;
    return { kind: "rule", by: { kind: "rule", name: "within the policy's bounds" }, atMs };
  }

  /** What the calendar says of each service that changes; why it passes where it is frozen. */
  #freezeVerdicts(draft: Draft): Verdict[] {
    const before = this.plansInForce();
    return draft.services.flatMap((service): Verdict[] => {
      const earlier = before.get(service.name);
      if (earlier !== undefined && !changes(service, earlier)) return [];
      const verdict = this.#options.desk.freezeOf(service.name);
      if (!verdict.frozen) return [{ rule: "freeze", ok: true, text: `${service.name}: ${verdict.text}` }];
      const { breakGlass } = draft;
      const passes =
        breakGlass !== undefined
          ? `the glass was broken by ${breakGlass.by}: ${breakGlass.reason}`
          : draft.emergency
            ? "an emergency passes"
            : "only what must leave passes";
      return [{ rule: "freeze", ok: breakGlass === undefined, text: `${service.name}: ${verdict.text}; ${passes}` }];
    });
  }

  /** A rollback takes all weights of persons back with the rest. */
  #pinsAfter(draft: Draft, epoch: number): Map<string, { by: string; epoch: number }> {
    if (draft.rollbackOf !== undefined) return new Map();
    const back = new Set(draft.ends?.map(({ unit }) => unit));
    const pins = new Map(
      this.#options.desk.state.pins
        // The first step of a unit is the epoch that pins: a unit that is taken back takes its pins along.
        .filter(({ epoch: since }) => !back.has(since))
        .map(({ service, by, epoch: since }) => [service, { by, epoch: since }]),
    );
    for (const service of draft.pin?.services ?? []) pins.set(service, { by: draft.pin!.by, epoch });
    return pins;
  }

  /** A service's step counts from the epoch that changed its shares; the others keep theirs. */
  #lastAfter(services: readonly PlannedService[], before: InForce | null, nowMs: number): InForce["last"] {
    return new Map(
      services.map((plan) => {
        const earlier = before?.last.get(plan.name);
        const same =
          earlier !== undefined &&
          earlier.plan.targets.length === plan.targets.length &&
          plan.targets.every((target, i) => {
            const was = earlier.plan.targets[i]!;
            return was.name === target.name && was.weightPpm === target.weightPpm && was.stickyPpm === target.stickyPpm;
          });
        return [plan.name, { plan, steppedAtMs: same ? earlier.steppedAtMs : (plan.steppedAtMs ?? nowMs) }];
      }),
    );
  }
}
