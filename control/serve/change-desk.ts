import { BallastError } from "../../common/errors.ts";
import { type Exemption, FreezeCalendar, type FreezeVerdict, type FreezeWindow } from "../change/freeze.ts";
import { EMPTY_LEDGER, fold, LEDGER_LIMITS, type LedgerState, type NoteDetail, TOPIC } from "../change/ledger.ts";
import type { Restraint } from "../change/restrain.ts";
import type { EntryBody } from "../checkpoint/chain.ts";
import type { CheckpointStore } from "../checkpoint/store.ts";
import { restoreFolded } from "./folded-log.ts";

/** What change control remembers, read from the log. */
export function restoreLedger(store: CheckpointStore): Promise<LedgerState> {
  return restoreFolded(store, { topic: TOPIC.ledger, empty: EMPTY_LEDGER, fold });
}

export interface ChangeDeskOptions {
  store: Pick<CheckpointStore, "append">;
  term: number;
  state: LedgerState;
  /** Of the policy and the estate's calendar. */
  windows: readonly FreezeWindow[];
  /** Planning time. */
  nowMs: () => number;
}

/** Where changes wait and freezes are kept: the ledger, and the calendar made of it. Writes notes; decides nothing. */
export class ChangeDesk {
  readonly #options: ChangeDeskOptions;
  #state: LedgerState;
  #calendar: FreezeCalendar;

  constructor(options: ChangeDeskOptions) {
    this.#options = options;
    this.#state = options.state;
    this.#calendar = new FreezeCalendar([...options.windows, ...options.state.freezes]);
  }

  get state(): LedgerState {
    return this.#state;
  }

  get calendar(): FreezeCalendar {
    return this.#calendar;
  }

  /** What the log says now, in place of what was remembered. */
  replace(state: LedgerState): void {
    this.#state = state;
    this.#calendar = new FreezeCalendar([...this.#options.windows, ...state.freezes]);
  }

  /** Writes the whole state once, so that the next start need not read further back. */
  async snapshot(): Promise<void> {
    await this.note(TOPIC.ledger, null, this.#state);
  }

  async note<T extends keyof NoteDetail>(topic: T, epoch: number | null, detail: NoteDetail[T]): Promise<void> {
    const body = { kind: "note", epoch, topic, detail } as const;
    await this.#options.store.append(body, { term: this.#options.term });
    this.observe(body);
  }

  /** An entry that was written past the desk: a checkpoint at its commit or its end. */
  observe(body: EntryBody): void {
    const { freezes } = this.#state;
    this.#state = fold(this.#state, body);
    if (this.#state.freezes !== freezes) {
      this.#calendar = new FreezeCalendar([...this.#options.windows, ...this.#state.freezes]);
    }
  }

  freezeOf(service: string): FreezeVerdict {
    return this.#calendar.check(service, this.#options.nowMs(), this.#state.exemptions);
  }

  /** Why the planner may not move a service freely now. */
  restraintOf(service: string): Restraint | null {
    const freeze = this.freezeOf(service);
    if (freeze.frozen) return { kind: "freeze", ref: freeze.by[0]!.id, text: freeze.text };
    const waiting = this.#state.pending.find((change) => change.services.some(({ name }) => name === service));
    if (waiting !== undefined) {
      return { kind: "approval", ref: String(waiting.epoch), text: `change ${waiting.epoch} waits for approval` };
    }
    const pin = this.#state.pins.find((one) => one.service === service);
    if (pin !== undefined) {
      return { kind: "operator", ref: pin.by, text: `weights of ${pin.by} since epoch ${pin.epoch}, until resume` };
    }
    return null;
  }

  async addFreeze(window: FreezeWindow): Promise<void> {
    if (this.#state.freezes.length >= LEDGER_LIMITS.freezes) {
      throw new BallastError("CHANGES_FULL", `${LEDGER_LIMITS.freezes} freezes of operators are kept at most`, {
        hint: "Lift some of them, or put lasting ones into ballast.yaml.",
      });
    }
    await this.note(TOPIC.freeze, null, window);
  }

  async liftFreeze(id: string, by: string, reason: string): Promise<void> {
    const window = this.#calendar.windows.find((one) => one.id === id);
    if (window === undefined) throw new BallastError("FREEZE_NOT_FOUND", `there is no freeze ${JSON.stringify(id)}`);
    if (window.source !== "operator")
      throw new BallastError("FREEZE_NOT_YOURS", `${id} is a freeze of the ${window.source}`);
    await this.note(TOPIC.lift, null, { id, by, reason });
  }

  async breakGlass(exemption: Exemption): Promise<void> {
    const open = this.#state.exemptions.filter(({ untilMs }) => untilMs > exemption.fromMs);
    if (open.length >= LEDGER_LIMITS.exemptions) {
      throw new BallastError("CHANGES_FULL", `${LEDGER_LIMITS.exemptions} open break-glasses are kept at most`, {
        hint: "Wait until some of them are over.",
      });
    }
    await this.note(TOPIC.breakGlass, null, exemption);
  }
}
