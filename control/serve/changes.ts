import { BallastError } from "../../common/errors.ts";
import { awaiting, expired, notFrozen, otherThanAuthor, roomFor, stillApplies } from "../change/approvals.ts";
import type { FreezeVerdict } from "../change/freeze.ts";
import { changes, type Judgement, withFleetMode, withModel } from "../change/judge.ts";
import { type PendingChange, type PendingService, TOPIC } from "../change/ledger.ts";
import { type Checkpoint, draft as draftCheckpoint, move } from "../checkpoint/moves.ts";
import type { Actor, Approval, CheckpointRecord, ModelChange, Verdict } from "../checkpoint/record.ts";
import { type CheckpointStore, committedCheckpoint, loadSet } from "../checkpoint/store.ts";
import type { BallastConfig } from "../config/config.ts";
import type { PlannedService } from "../plan/plan.ts";
import type { ChangeDesk } from "./change-desk.ts";
import { recordOf } from "./checkpoint-record.ts";
import { type DraftSet, draftSet } from "./draft-set.ts";
import type { EpochWriter } from "./epoch-writer.ts";
import { fromCheckpoint, type InForce } from "./in-force.ts";
import { approvedPlans, comparison, requestedPlans, type ServiceRequest } from "./proposal.ts";
import type { Rollouts } from "./rollouts.ts";

export interface ChangesOptions {
  config: BallastConfig;
  store: CheckpointStore;
  term: number;
  writer: EpochWriter;
  desk: ChangeDesk;
  rollouts: Rollouts;
  /** Why a target of a service can take no request now; null when it can. */
  unfit: (service: string, target: string) => string | null;
  /** Planning time. */
  nowMs: () => number;
  wallMs?: () => number;
  /** Throws CHANGE_STALE or MODEL_NOT_READY when what the approver was shown of a model does not hold any more. */
  modelStillApplies?: (change: ModelChange) => void;
}

export interface ChangeRequest {
  services: readonly ServiceRequest[];
  author: string;
  reason: string;
  /** Goes out in a freeze, and owes an approval afterwards. */
  breakGlass?: boolean;
  ticket?: string;
}

export type ChangeAnswer =
  | {
      state: "active";
      epoch: number;
      changeType: CheckpointRecord["changeType"];
      /** Of the rollout: this epoch is the first of `steps`, in force on `nodes`; null: on all. */
      steps: number;
      nodes: { ahead: number; of: number } | null;
    }
  | { state: "validated"; epoch: number; expiresAtMs: number; outside: readonly Verdict[] };

/** The preview of a change: what `diff` shows. */
export interface ChangePreview {
  changeType: "standard" | "normal";
  services: readonly PendingService[];
  verdicts: readonly Verdict[];
  freezes: ReadonlyMap<string, FreezeVerdict>;
  /** Nodes, of how many, that would have each step; planning time that each is watched for. */
  rollout: { nodes: readonly number[]; of: number; bakeMs: number };
}

/** The planner asks again for what a person refused, or what ran out, no sooner than this. */
const ASK_AGAIN_MS = 3_600_000;

/** What persons (and plans outside the bounds) ask of change control. All rejections are typed errors. */
export class Changes {
  readonly #options: ChangesOptions & { wallMs: () => number };
  /** By service and broken rules: when the planner last asked. */
  readonly #asked = new Map<string, number>();

  constructor(options: ChangesOptions) {
    this.#options = { wallMs: Date.now, ...options };
  }

  /** What a request would do, without doing it. */
  preview(request: ChangeRequest): ChangePreview {
    const { writer, config } = this.#options;
    const { plans, all, draft, judgement, freezes } = this.#prepare(request);
    const services = comparison(plans, draft, this.#inForce());
    const rollout = writer.preview({
      set: draft.set,
      tables: draft.tables,
      services: all,
      why: request.reason,
      trigger: "operator",
      author: { kind: "person", name: request.author },
      emergency: false,
    });
    return {
      changeType: judgement.changeType === "standard" ? "standard" : "normal",
      services,
      verdicts: judgement.verdicts,
      freezes,
      rollout: { ...rollout, bakeMs: config.rollout.bakeMs },
    };
  }

  /** Inside the bounds: in force when this resolves. Outside: waits for an approver. */
  async propose(request: ChangeRequest): Promise<ChangeAnswer> {
    const { writer, desk } = this.#options;
    return writer.exclusively(false, async () => {
      const { plans, all, draft, judgement, freezes } = this.#prepare(request);
      roomFor(
        desk.state,
        plans.map(({ name }) => name),
        this.#options.config.changeControl.normal.maxPending,
      );
      this.#options.rollouts.roomFor(
        plans.map(({ name }) => name),
        request.breakGlass === true,
      );
      const frozen = this.#needsGlass(freezes);
      notFrozen(freezes, request.breakGlass === true);
      const author: Actor = { kind: "person", name: request.author };
      const ticket = request.ticket === undefined ? {} : { ticket: request.ticket };
      if (judgement.changeType !== "standard") {
        return this.#wait({ plans, draft, judgement, author, why: request.reason, trigger: "operator", ...ticket });
      }
      const inForce = await writer.mustWrite({
        set: draft.set,
        tables: draft.tables,
        services: all,
        why: request.reason,
        trigger: "operator",
        author,
        emergency: false,
        pin: { by: request.author, services: plans.map(({ name }) => name) },
        ...(frozen ? { breakGlass: { by: request.author, reason: request.reason } } : {}),
        ...ticket,
      });
      return activeAnswer(inForce);
    });
  }

  /** The planner's own plan is outside the bounds: it waits like a person's. Asked at most once an hour for the same thing. */
  async planNeedsApproval(service: PlannedService, judgement: Judgement, author: Actor): Promise<void> {
    const { desk, writer, config, wallMs } = this.#options;
    const rules = judgement.verdicts.filter(({ ok }) => !ok).map(({ rule }) => rule);
    const key = `${service.name} ${service.mode} ${rules.join()}`;
    const lastMs = this.#asked.get(key);
    if (lastMs !== undefined && wallMs() - lastMs < ASK_AGAIN_MS) return;
    if (desk.state.pending.some((change) => change.services.some(({ name }) => name === service.name))) return;
    if (this.#options.rollouts.restraintOf(service.name) !== null) return;
    if (desk.state.pending.length >= config.changeControl.normal.maxPending || writer.inForce === null) return;
    this.#asked.set(key, wallMs());
    const all = [...writer.plansInForce().values()].map((plan) => (plan.name === service.name ? service : plan));
    const draft = draftSet(all, writer.inForce.tables, config.tables.slots);
    await this.#wait({ plans: [service], draft, judgement, author, why: service.why, trigger: "plan" });
  }

  /** Gives the approval that a change waits for, or that an emergency owes. */
  async approve(request: {
    epoch: number;
    by: string;
    reason?: string;
    breakGlass?: boolean;
  }): Promise<ChangeAnswer | { state: "approved"; epoch: number }> {
    const { writer, desk, wallMs } = this.#options;
    const approval: Approval = {
      kind: "person",
      by: { kind: "person", name: request.by },
      atMs: wallMs(),
      ...(request.reason === undefined ? {} : { evidence: request.reason }),
    };
    return writer.exclusively(false, async () => {
      const found = awaiting(desk.state, request.epoch);
      if (found.kind === "owed") {
        otherThanAuthor(found.owed.author, request.by);
        await desk.note(TOPIC.approval, request.epoch, { approval });
        return { state: "approved", epoch: request.epoch };
      }
      return this.#carryOut(found.change, approval, request);
    });
  }

  async #carryOut(
    change: PendingChange,
    approval: Approval,
    request: { by: string; reason?: string; breakGlass?: boolean },
  ): Promise<ChangeAnswer> {
    const { writer, config, wallMs } = this.#options;
    otherThanAuthor(change.author, request.by);
    const inForce = this.#inForce();
    try {
      stillApplies(change, writer.plansInForce(), wallMs());
      if (change.modelChange !== undefined) this.#options.modelStillApplies?.(change.modelChange);
    } catch (thrown) {
      if (thrown instanceof BallastError)
        await this.#end(change, { kind: "rule", name: "change control" }, thrown.message);
      throw thrown;
    }
    this.#options.rollouts.roomFor(
      change.services.map(({ name }) => name),
      request.breakGlass === true,
    );
    // Another model moves any service: a freeze of one of them holds it back.
    const touched =
      change.modelChange === undefined ? change.services.map(({ name }) => name) : [...inForce.last.keys()];
    const freezes = this.#freezesOf(touched);
    const frozen = this.#needsGlass(freezes);
    notFrozen(freezes, request.breakGlass === true);
    const plans = approvedPlans(change.services, inForce);
    const byName = new Map(plans.map((plan) => [plan.name, plan]));
    const all = [...writer.plansInForce().values()].map((plan) => byName.get(plan.name) ?? plan);
    const draft = draftSet(all, inForce.tables, config.tables.slots);
    const person = change.author.kind === "person";
    const written = await writer.mustWrite(
      {
        set: draft.set,
        tables: draft.tables,
        services: all,
        why: change.why,
        trigger: change.record.trigger,
        author: change.author,
        emergency: false,
        change: change.epoch,
        ...(change.mode === undefined ? {} : { mode: change.mode }),
        ...(change.modelChange === undefined ? {} : { modelChange: change.modelChange }),
        ...(change.record.ticket === undefined ? {} : { ticket: change.record.ticket }),
        ...(person && plans.length > 0 ? { pin: { by: change.author.name, services: [...byName.keys()] } } : {}),
        ...(frozen ? { breakGlass: { by: request.by, reason: request.reason ?? "" } } : {}),
      },
      approval,
    );
    const carried = move(this.#validated(change), "approve", { approval }, wallMs());
    const reason = `carried out as epoch ${written.epoch}`;
    await this.#append(change.epoch, move(carried, "abort", { reason }, wallMs()));
    return activeAnswer(written);
  }

  async refuse(request: { epoch: number; by: string; reason: string }): Promise<void> {
    const { writer, desk } = this.#options;
    await writer.exclusively(false, async () => {
      const found = awaiting(desk.state, request.epoch);
      if (found.kind === "owed") {
        throw new BallastError("CHANGE_NOT_FOUND", `epoch ${request.epoch} is in force; its approval is owed`, {
          hint: "What is in force cannot be refused: roll it back.",
        });
      }
      await this.#end(found.change, { kind: "person", name: request.by }, request.reason);
    });
  }

  /** Ends what has waited too long. Called by the loop, between two epochs. */
  async expire(): Promise<void> {
    const { desk, wallMs } = this.#options;
    for (const change of expired(desk.state, wallMs())) {
      await this.#end(change, { kind: "rule", name: "expiry" }, "nobody approved it in time");
    }
  }

  /** Puts the tables of an earlier epoch in force as a new epoch, and holds the planner. */
  async rollback(request: { epoch?: number; author: string; reason: string; force?: boolean }): Promise<InForce> {
    const { writer, store, config } = this.#options;
    return writer.exclusively(true, async () => {
      const now = writer.inForce;
      if (now === null) throw new BallastError("NOTHING_TO_ROLL_BACK", "no epoch is in force");
      const to = request.epoch ?? now.record.parent;
      const checkpoint = to > 0 ? await committedCheckpoint(store, to) : null;
      if (checkpoint === null) {
        if (request.epoch === undefined)
          throw new BallastError("NOTHING_TO_ROLL_BACK", `epoch ${now.epoch} is the first`);
        throw new BallastError("EPOCH_NOT_FOUND", `epoch ${to} was never committed`);
      }
      const set = await loadSet(store, to);
      const earlier = fromCheckpoint(checkpoint, set, config);
      const danger = this.unsafe([...earlier.last.values()].map(({ plan }) => plan));
      if (danger !== null && request.force !== true)
        throw new BallastError("ROLLBACK_UNSAFE", `epoch ${to}: ${danger}`);
      const why = `rollback to the tables of epoch ${to}: ${request.reason}`;
      return writer.mustWrite({
        set,
        tables: null,
        services: [...earlier.last.values()].map(({ plan }) => ({ ...plan, why })),
        why,
        trigger: "rollback",
        author: { kind: "person", name: request.author },
        emergency: true,
        rollbackOf: to,
        endsAll: true,
        ...(danger === null
          ? {}
          : { breakGlass: { by: request.author, reason: `${request.reason} (forced: ${danger})` } }),
      });
    });
  }

  /** Why these weights must not come into force now: a target that can take no request would get some. Null: they may. */
  unsafe(plans: readonly PlannedService[]): string | null {
    for (const { name: service, mode, targets } of plans) {
      if (mode !== "steer") continue;
      for (const { name, weightPpm, stickyPpm } of targets) {
        const share = Math.max(weightPpm, stickyPpm);
        const why = share === 0 ? null : this.#options.unfit(service, name);
        if (why !== null) return `${service} would send ${share / 10_000} % to a target that can take none: ${why}`;
      }
    }
    return null;
  }

  /**
   * On: every Envoy goes by its own static weights at once, and the planner holds. Off: steering again is a normal change.
   */
  async killSwitch(request: { on: boolean; author: string | Actor; reason: string }): Promise<ChangeAnswer> {
    const { writer, desk, config } = this.#options;
    return writer.exclusively(request.on, async () => {
      const inForce = this.#inForce();
      const mode = request.on ? "passthrough" : "steer";
      if (inForce.record.mode === mode) throw new BallastError("CHANGE_EMPTY", `the fleet's mode is ${mode} already`);
      const author: Actor =
        typeof request.author === "string" ? { kind: "person", name: request.author } : request.author;
      const why = `kill switch ${request.on ? "on" : "off"}: ${request.reason}`;
      // What only a part of the fleet has yet is taken back: it would be everywhere when the switch goes off.
      const baseline = this.#options.rollouts.baseline(inForce);
      const services = [...(request.on ? baseline.plans : writer.plansInForce()).values()];
      const draft = draftSet(services, request.on ? baseline.tables : inForce.tables, config.tables.slots);
      if (!request.on) {
        roomFor(desk.state, [], config.changeControl.normal.maxPending);
        const judgement = withFleetMode({ verdicts: [], sound: true, changeType: "normal" }, inForce.record.mode, mode);
        return this.#wait({ plans: [], draft, judgement, author, why, trigger: "operator", mode });
      }
      const written = await writer.mustWrite({
        set: inForce.rest?.set ?? inForce.set,
        tables: null,
        services,
        why,
        trigger: "kill_switch",
        author,
        emergency: true,
        mode,
        endsAll: true,
      });
      return activeAnswer(written);
    });
  }

  /** Another model for what steers: a normal change, whatever the scores say. */
  async promoteModel(request: { change: ModelChange; author: string; reason: string }): Promise<ChangeAnswer> {
    const { writer, desk, config } = this.#options;
    return writer.exclusively(false, async () => {
      const inForce = this.#inForce();
      const waiting = desk.state.pending.find(({ modelChange }) => modelChange !== undefined);
      if (waiting !== undefined)
        throw new BallastError("CHANGE_IN_FLIGHT", `change ${waiting.epoch} of the model waits for approval`);
      roomFor(desk.state, [], config.changeControl.normal.maxPending);
      const services = [...writer.plansInForce().values()];
      const draft = draftSet(services, inForce.tables, config.tables.slots);
      const judgement = withModel({ verdicts: [], sound: true, changeType: "normal" }, request.change);
      const why = `model ${request.change.to?.sha256.slice(0, 12)} is promoted: ${request.reason}`;
      const author: Actor = { kind: "person", name: request.author };
      return this.#wait({ plans: [], draft, judgement, author, why, trigger: "model", modelChange: request.change });
    });
  }

  /** Back to the former model at once; the approval is owed. */
  async rollbackModel(request: { change: ModelChange; author: string; reason: string }): Promise<InForce> {
    const { writer } = this.#options;
    return writer.exclusively(true, () => {
      const inForce = this.#inForce();
      return writer.mustWrite({
        set: inForce.set,
        tables: null,
        services: [...writer.plansInForce().values()],
        why: `back to ${request.change.to === null ? "the model of ballast.yaml" : `model ${request.change.to.sha256.slice(0, 12)}`}: ${request.reason}`,
        trigger: "model_rollback",
        author: { kind: "person", name: request.author },
        emergency: true,
        modelChange: request.change,
      });
    });
  }

  /** Lets the planner act again; with `services`, on these alone. */
  async resume(request: { author: string; services?: readonly string[] }): Promise<void> {
    const { desk, rollouts, writer } = this.#options;
    const epoch = writer.inForce?.epoch ?? null;
    const detail = { author: request.author, services: request.services ?? null };
    await desk.note(TOPIC.resume, epoch, detail);
    rollouts.observe({ kind: "note", epoch, topic: TOPIC.resume, detail });
  }

  #inForce(): InForce {
    const { inForce } = this.#options.writer;
    if (inForce === null) throw new BallastError("NOTHING_IN_FORCE", "no epoch is in force yet");
    return inForce;
  }

  #prepare(request: ChangeRequest): {
    plans: PlannedService[];
    all: PlannedService[];
    draft: DraftSet;
    judgement: Judgement;
    freezes: Map<string, FreezeVerdict>;
  } {
    const { writer, config } = this.#options;
    const inForce = this.#inForce();
    const before = writer.plansInForce();
    const requested = requestedPlans(request, inForce);
    const plans = requested.filter((plan) => changes(plan, before.get(plan.name)!));
    if (plans.length === 0) throw new BallastError("CHANGE_EMPTY", "every weight and mode would stay as it is");
    const byName = new Map(plans.map((plan) => [plan.name, plan]));
    const all = [...before.values()].map((plan) => byName.get(plan.name) ?? plan);
    const judgement = writer.judge({ services: all, emergency: false, trigger: "operator" });
    if (!judgement.sound) {
      const broken = judgement.verdicts.filter(({ ok }) => !ok).map(({ text }) => text);
      throw new BallastError("CHANGE_INVALID", broken.join("; "));
    }
    const draft = draftSet(all, inForce.tables, config.tables.slots);
    return { plans, all, draft, judgement, freezes: this.#freezesOf([...byName.keys()]) };
  }

  /** Only a broken glass lets it pass: a service is frozen, or nothing can be seen of the fleet. */
  #needsGlass(freezes: ReadonlyMap<string, FreezeVerdict>): boolean {
    return this.#options.rollouts.watcher.isBlind() || [...freezes.values()].some((verdict) => verdict.frozen);
  }

  #freezesOf(services: readonly string[]): Map<string, FreezeVerdict> {
    return new Map(services.map((name) => [name, this.#options.desk.freezeOf(name)]));
  }

  /** Writes the change down as one that waits, under an epoch of its own. */
  async #wait(change: {
    plans: readonly PlannedService[];
    draft: DraftSet;
    judgement: Judgement;
    author: Actor;
    why: string;
    trigger: string;
    mode?: CheckpointRecord["mode"];
    modelChange?: ModelChange;
    ticket?: string;
  }): Promise<ChangeAnswer> {
    const { store, term, config, desk, writer, nowMs, wallMs } = this.#options;
    const inForce = this.#inForce();
    const epoch = await store.reserve(inForce.epoch, { holder: config.fleet, term });
    const { plans, draft, judgement, author, why, trigger } = change;
    const services = comparison(plans, draft, inForce);
    const { services: _all, ...record } = recordOf(
      { ...change, set: draft.set, tables: draft.tables, services: plans, emergency: false },
      {
        fleet: config.fleet,
        epoch,
        term,
        plannedAtMs: nowMs(),
        createdAtMs: wallMs(),
        changeType: "normal",
        before: inForce,
        policyDigest: writer.policyDigest,
        estateDigest: inForce.record.estateDigest ?? "",
        model: null,
        riskModel: null,
        pins: new Map(),
      },
    );
    const expiresAtMs = wallMs() + config.changeControl.normal.expireAfterMs;
    const pending: PendingChange = {
      epoch,
      author,
      why,
      proposedAtMs: wallMs(),
      expiresAtMs,
      services,
      record: { ...record, trigger },
      verdicts: judgement.verdicts,
      ...(change.mode === undefined ? {} : { mode: change.mode }),
      ...(change.modelChange === undefined ? {} : { modelChange: change.modelChange }),
    };
    await desk.note(TOPIC.pending, epoch, pending);
    return { state: "validated", epoch, expiresAtMs, outside: judgement.verdicts.filter(({ ok }) => !ok) };
  }

  #validated(change: PendingChange) {
    const record: CheckpointRecord = { ...change.record, services: change.services };
    return move(draftCheckpoint(record), "validate", { verdicts: change.verdicts }, change.proposedAtMs);
  }

  async #end(change: PendingChange, by: Actor, reason: string): Promise<void> {
    const refused = move(this.#validated(change), "refuse", { by, reason }, this.#options.wallMs());
    await this.#append(change.epoch, refused);
  }

  async #append(epoch: number, checkpoint: Checkpoint): Promise<void> {
    const { store, term, desk } = this.#options;
    const body = { kind: "checkpoint", epoch, checkpoint } as const;
    await store.append(body, { term });
    desk.observe(body);
  }
}

function activeAnswer({ epoch, record }: InForce): ChangeAnswer {
  const { changeType, rollout, cohort } = record;
  const own = cohort !== undefined && cohort.unit === epoch;
  const nodes = own ? { ahead: cohort.nodes, of: cohort.of } : null;
  return { state: "active", epoch, changeType, steps: rollout?.steps ?? 1, nodes };
}
