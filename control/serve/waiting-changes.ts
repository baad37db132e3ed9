import { BallastError } from "../../common/errors.ts";
import { awaiting, expired, notFrozen, otherThanAuthor, stillApplies } from "../change/approvals.ts";
import type { Judgement } from "../change/judge.ts";
import { type PendingChange, TOPIC } from "../change/ledger.ts";
import { type Checkpoint, draft as draftCheckpoint, move } from "../checkpoint/moves.ts";
import type { Actor, Approval, CheckpointRecord, ModelChange } from "../checkpoint/record.ts";
import type { PlannedService } from "../plan/plan.ts";
import {
  activeAnswer,
  type ChangeAnswer,
  type ChangesOptions,
  freezesOf,
  mustBeInForce,
  needsGlass,
} from "./change-request.ts";
import { recordOf } from "./checkpoint-record.ts";
import { type DraftSet, draftSet } from "./draft-set.ts";
import { approvedPlans, comparison } from "./proposal.ts";

/** Changes that wait for a named approver, from the epoch that is reserved for them to their end. All rejections are typed errors. */
export class WaitingChanges {
  readonly #options: ChangesOptions & { wallMs: () => number };

  constructor(options: ChangesOptions & { wallMs: () => number }) {
    this.#options = options;
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
    const inForce = mustBeInForce(writer);
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
    const freezes = freezesOf(this.#options.desk, touched);
    const frozen = needsGlass(this.#options.rollouts, freezes);
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

  /** Writes the change down as one that waits, under an epoch of its own. */
  async hold(change: {
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
    const inForce = mustBeInForce(writer);
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
