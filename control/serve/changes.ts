import { BallastError } from "../../common/errors.ts";
import { notFrozen, roomFor } from "../change/approvals.ts";
import type { FreezeVerdict } from "../change/freeze.ts";
import { changes, type Judgement, withFleetMode, withModel } from "../change/judge.ts";
import { TOPIC } from "../change/ledger.ts";
import type { Actor, ModelChange } from "../checkpoint/record.ts";
import { committedCheckpoint, loadSet } from "../checkpoint/store.ts";
import type { PlannedService } from "../plan/plan.ts";
import {
  activeAnswer,
  type ChangeAnswer,
  type ChangePreview,
  type ChangeRequest,
  type ChangesOptions,
  freezesOf,
  mustBeInForce,
  needsGlass,
} from "./change-request.ts";
import { type DraftSet, draftSet } from "./draft-set.ts";
import { fromCheckpoint, type InForce } from "./in-force.ts";
import { comparison, requestedPlans } from "./proposal.ts";
import { WaitingChanges } from "./waiting-changes.ts";

export type { ChangeAnswer, ChangePreview, ChangeRequest, ChangesOptions } from "./change-request.ts";

/** The planner asks again for what a person refused, or what ran out, no sooner than this. */
const ASK_AGAIN_MS = 3_600_000;

/** What persons (and plans outside the bounds) ask of change control. All rejections are typed errors. */
export class Changes {
  readonly #options: ChangesOptions & { wallMs: () => number };
  readonly #waiting: WaitingChanges;
  /** By service and broken rules: when the planner last asked. */
  readonly #asked = new Map<string, number>();

  constructor(options: ChangesOptions) {
    this.#options = { wallMs: Date.now, ...options };
    this.#waiting = new WaitingChanges(this.#options);
  }

  /** What a request would do, without doing it. */
  preview(request: ChangeRequest): ChangePreview {
    const { writer, config } = this.#options;
    const { plans, all, draft, judgement, freezes } = this.#prepare(request);
    const services = comparison(plans, draft, mustBeInForce(this.#options.writer));
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
      const frozen = needsGlass(this.#options.rollouts, freezes);
      notFrozen(freezes, request.breakGlass === true);
      const author: Actor = { kind: "person", name: request.author };
      const ticket = request.ticket === undefined ? {} : { ticket: request.ticket };
      if (judgement.changeType !== "standard") {
        return this.#waiting.hold({
          plans,
          draft,
          judgement,
          author,
          why: request.reason,
          trigger: "operator",
          ...ticket,
        });
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
    await this.#waiting.hold({ plans: [service], draft, judgement, author, why: service.why, trigger: "plan" });
  }

  /** Gives the approval that a change waits for, or that an emergency owes. */
  approve(request: Parameters<WaitingChanges["approve"]>[0]): ReturnType<WaitingChanges["approve"]> {
    return this.#waiting.approve(request);
  }

  refuse(request: { epoch: number; by: string; reason: string }): Promise<void> {
    return this.#waiting.refuse(request);
  }

  /** Ends what has waited too long. Called by the loop, between two epochs. */
  expire(): Promise<void> {
    return this.#waiting.expire();
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
      const inForce = mustBeInForce(this.#options.writer);
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
        return this.#waiting.hold({ plans: [], draft, judgement, author, why, trigger: "operator", mode });
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
      const inForce = mustBeInForce(this.#options.writer);
      const waiting = desk.state.pending.find(({ modelChange }) => modelChange !== undefined);
      if (waiting !== undefined)
        throw new BallastError("CHANGE_IN_FLIGHT", `change ${waiting.epoch} of the model waits for approval`);
      roomFor(desk.state, [], config.changeControl.normal.maxPending);
      const services = [...writer.plansInForce().values()];
      const draft = draftSet(services, inForce.tables, config.tables.slots);
      const judgement = withModel({ verdicts: [], sound: true, changeType: "normal" }, request.change);
      const why = `model ${request.change.to?.sha256.slice(0, 12)} is promoted: ${request.reason}`;
      const author: Actor = { kind: "person", name: request.author };
      return this.#waiting.hold({
        plans: [],
        draft,
        judgement,
        author,
        why,
        trigger: "model",
        modelChange: request.change,
      });
    });
  }

  /** Back to the former model at once; the approval is owed. */
  async rollbackModel(request: { change: ModelChange; author: string; reason: string }): Promise<InForce> {
    const { writer } = this.#options;
    return writer.exclusively(true, () => {
      const inForce = mustBeInForce(this.#options.writer);
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

  #prepare(request: ChangeRequest): {
    plans: PlannedService[];
    all: PlannedService[];
    draft: DraftSet;
    judgement: Judgement;
    freezes: Map<string, FreezeVerdict>;
  } {
    const { writer, config } = this.#options;
    const inForce = mustBeInForce(this.#options.writer);
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
    return { plans, all, draft, judgement, freezes: freezesOf(this.#options.desk, [...byName.keys()]) };
  }
}
