import type { Entry, EntryBody } from "../checkpoint/chain.ts";
import type {
  Actor,
  Approval,
  CheckpointRecord,
  ModelChange,
  ModelRef,
  ServiceChange,
  Verdict,
} from "../checkpoint/record.ts";
import type { Exemption, FreezeWindow } from "./freeze.ts";

/** Topics of the notes that change control writes into the log. */
export const TOPIC = {
  pending: "change.pending",
  approval: "approval",
  freeze: "freeze.add",
  lift: "freeze.lift",
  breakGlass: "freeze.break",
  resume: "resume",
  shadow: "model.shadow",
  retire: "model.retire",
  /** The whole state, so that a server that starts need not read the log from its beginning. */
  ledger: "ledger",
} as const;

/** A change that waits for a named approver. Plain JSON: it lives in the log until it ends. */
export interface PendingChange {
  /** Reserved in the store; names the change in commands. */
  epoch: number;
  author: Actor;
  why: string;
  /** Wall times. */
  proposedAtMs: number;
  expiresAtMs: number;
  /** Only the services that it changes; `beforePpm` is what the approver sees and what must still hold at approval. */
  services: readonly PendingService[];
  /** What it would be recorded as, without its services. */
  record: Omit<CheckpointRecord, "services">;
  /** The fleet's mode that it asks for; absent: as it is. */
  mode?: "steer" | "observe" | "passthrough";
  /** The model that it asks for. */
  modelChange?: ModelChange;
  verdicts: readonly Verdict[];
}

export interface PendingService extends ServiceChange {
  beforeMode: "observe" | "steer";
  /** Expected share of sessions that change their target, ppm, and how it came about. */
  sessionsPpm: number;
  sessionsText: string;
  slotsMoved: number;
}

/** An epoch that went out before anybody approved it. */
export interface OwedApproval {
  epoch: number;
  author: Actor;
  trigger: string;
  why: string;
  /** Wall times. */
  atMs: number;
  dueMs: number;
}

/** A person's weights, which the planner leaves alone until `resume`. */
export interface Pin {
  service: string;
  by: string;
  epoch: number;
}

/** Which models this fleet has been steered by. */
export interface ModelsState {
  /** The promoted model; null: that of ballast.yaml. */
  champion: ModelRef | null;
  /** Those before it, the newest last. */
  former: readonly ModelRef[];
  /** The candidate that forecasts beside it. */
  shadow: ModelRef | null;
}

/** What change control remembers, beyond the epoch in force. Plain JSON. */
export interface LedgerState {
  /** The planner holds after a rollback or a kill switch. */
  held: boolean;
  pins: readonly Pin[];
  pending: readonly PendingChange[];
  owed: readonly OwedApproval[];
  freezes: readonly FreezeWindow[];
  exemptions: readonly Exemption[];
  models: ModelsState;
  /** The same of change risk. */
  riskModels: ModelsState;
}

export const EMPTY_LEDGER: LedgerState = {
  held: false,
  pins: [],
  pending: [],
  owed: [],
  freezes: [],
  exemptions: [],
  models: { champion: null, former: [], shadow: null },
  riskModels: { champion: null, former: [], shadow: null },
};

/** Bounds of what is kept; what would exceed them is refused before it is written. */
export const LEDGER_LIMITS = { freezes: 256, exemptions: 64, owed: 10_000, formerModels: 8 } as const;

/** The detail of each topic's note. */
export interface NoteDetail {
  [TOPIC.pending]: PendingChange;
  [TOPIC.approval]: { approval: Approval };
  [TOPIC.freeze]: FreezeWindow;
  [TOPIC.lift]: { id: string; by: string; reason: string };
  [TOPIC.breakGlass]: Exemption;
  /** Null: everything that holds the planner. */
  [TOPIC.resume]: { author: string; services: readonly string[] | null };
  [TOPIC.shadow]: { model: ModelRef; by: string; reason: string };
  /** `part` absent: of demand. */
  [TOPIC.retire]: { by: string; reason: string; part?: ModelPart };
  [TOPIC.ledger]: LedgerState;
}

/**
 * What change control remembers after one more entry of the log. Pure, so that the server that wrote the entry and one that
 * reads it after a restart or a change of leader come to the same.
 */
export function fold(state: LedgerState, body: EntryBody): LedgerState {
  switch (body.kind) {
    case "checkpoint":
      return foldCheckpoint(state, body);
    case "note":
      return foldNote(state, body);
    case "reserve":
    case "move":
      return state;
  }
}

export function foldAll(state: LedgerState, entries: Iterable<Pick<Entry, "body">>): LedgerState {
  for (const { body } of entries) state = fold(state, body);
  return state;
}

/** A change ends when its epoch does: refused, expired, or carried out (under this epoch or, aborted here, a later one). */
function foldCheckpoint(state: LedgerState, { checkpoint }: Extract<EntryBody, { kind: "checkpoint" }>): LedgerState {
  const { record, moves } = checkpoint;
  const pending = state.pending.filter((change) => change.epoch !== record.epoch && change.epoch !== record.change);
  if (checkpoint.state !== "active") {
    return { ...state, pending: state.pending.filter((change) => change.epoch !== record.epoch) };
  }
  const approve = moves.find((made) => made.move === "approve");
  const approval = approve === undefined ? null : (approve.detail as { approval: Approval }).approval;
  const owed = [...state.owed];
  if (approval?.kind === "owed") {
    const { epoch, author, trigger, why } = record;
    owed.push({ epoch, author, trigger, why, atMs: approval.atMs, dueMs: approval.dueMs ?? approval.atMs });
  }
  const pins = record.services.flatMap(({ name, pinned }) =>
    pinned === undefined ? [] : [{ service: name, ...pinned }],
  );
  return {
    ...state,
    ...(record.modelChange === undefined ? {} : afterModelChange(state, record.modelChange)),
    pending,
    owed,
    pins,
    held: state.held || record.trigger === "rollback" || record.trigger === "kill_switch",
  };
}

function foldNote(state: LedgerState, { epoch, topic, detail }: Extract<EntryBody, { kind: "note" }>): LedgerState {
  switch (topic) {
    case TOPIC.ledger:
      // A ledger written before models were part of it has none.
      return { ...EMPTY_LEDGER, ...(detail as LedgerState) };
    case TOPIC.shadow: {
      const { model } = detail as { model: ModelRef };
      return withShadow(state, partOf(model), model);
    }
    case TOPIC.retire:
      return withShadow(state, (detail as { part?: ModelPart }).part ?? "demand", null);
    case TOPIC.pending:
      return { ...state, pending: [...state.pending, detail as PendingChange] };
    case TOPIC.approval:
      return { ...state, owed: state.owed.filter((owed) => owed.epoch !== epoch) };
    case TOPIC.freeze:
      return { ...state, freezes: [...state.freezes, detail as FreezeWindow] };
    case TOPIC.lift:
      return { ...state, freezes: state.freezes.filter(({ id }) => id !== (detail as { id: string }).id) };
    case TOPIC.breakGlass: {
      const made = detail as Exemption;
      // Those that were over when this one was made will never count again.
      const open = state.exemptions.filter(({ untilMs }) => untilMs > made.fromMs);
      return { ...state, exemptions: [...open, made] };
    }
    case TOPIC.resume: {
      const { services } = detail as { services?: readonly string[] | null };
      if (services === undefined || services === null) return { ...state, held: false, pins: [] };
      return { ...state, pins: state.pins.filter((pin) => !services.includes(pin.service)) };
    }
    default:
      return state;
  }
}

/** What a model forecasts. */
export type ModelPart = "demand" | "risk";

const STATE_OF = { demand: "models", risk: "riskModels" } as const;

export function partOf({ kind }: Pick<ModelRef, "kind">): ModelPart {
  return kind === "change-risk" ? "risk" : "demand";
}

/** Of the models of one part. */
export function modelsOf(state: Pick<LedgerState, "models" | "riskModels">, part: ModelPart): ModelsState {
  return state[STATE_OF[part]];
}

function withShadow(state: LedgerState, part: ModelPart, shadow: ModelRef | null): LedgerState {
  return { ...state, [STATE_OF[part]]: { ...modelsOf(state, part), shadow } };
}

/** A promotion puts the model before it on the pile of former ones; a return takes it off again. The candidate's part is over either way. */
function afterModelChange(state: LedgerState, { from, to, kind }: ModelChange): Partial<LedgerState> {
  // A return from a promoted model to none at all still names the one it leaves.
  const part = partOf((to ?? from)!);
  const models = modelsOf(state, part);
  const former =
    kind === "rollback"
      ? models.former.slice(0, -1)
      : [...models.former, ...(from === null ? [] : [from])].slice(-LEDGER_LIMITS.formerModels);
  return { [STATE_OF[part]]: { champion: to, former, shadow: null } };
}
