import { type PendingChange, TOPIC } from "../change/ledger.ts";
import type { EntryBody } from "../checkpoint/chain.ts";
import type { Checkpoint, Move, MoveDetails } from "../checkpoint/moves.ts";
import type { Approval } from "../checkpoint/record.ts";
import { correlationId, type Goal, type TicketLife } from "./ticket-life.ts";
import type { Conflict, TicketOutcome, TicketRef } from "./ticket-system.ts";
import { changedServices, draftOf } from "./ticket-text.ts";

/** Topics of the notes that the follower writes into the log: what a restart must not forget. */
export const TICKET_TOPIC = {
  /** Written before the call: a server that has lost the lead is fenced here and opens nothing. */
  opening: "ticket.opening",
  opened: "ticket.opened",
  conflicts: "ticket.conflicts",
  finished: "ticket.finished",
  /** The whole state, so that a server that starts need not read the log from its beginning. */
  snapshot: "ticket.snapshot",
} as const;

export interface TicketNotes {
  [TICKET_TOPIC.opening]: { correlationId: string };
  [TICKET_TOPIC.opened]: { ticket: TicketRef; ignored: readonly string[] };
  [TICKET_TOPIC.conflicts]: { found: readonly Conflict[] };
  [TICKET_TOPIC.finished]: { why: string };
  /** `throughSeq`: entries up to it are in the ledger; later ones that were written before this note may not be. */
  [TICKET_TOPIC.snapshot]: { ledger: TicketLedger; throughSeq: number };
}

/** Every ticket that is not finished, by its epoch. Plain JSON. */
export interface TicketLedger {
  lives: readonly TicketLife[];
  /** Changes that got no ticket since `lives` was full. */
  skipped: number;
}

export const EMPTY_TICKETS: TicketLedger = { lives: [], skipped: 0 };

export interface TicketRules {
  fleet: string;
  /** False: standard changes get no ticket. */
  standard: boolean;
  /** Key of a service's CI in the ticket system; null when it has none. */
  ciOf: (service: string) => string | null;
  /** Length of the planned window of what goes out at once. */
  windowMs: number;
  /** Most tickets that are followed at a time. */
  maxLives: number;
}

/** What is wanted of every ticket after one more entry of the log. Pure, so that it survives restarts and changes of leader. */
export function foldTickets(state: TicketLedger, body: EntryBody, rules: TicketRules): TicketLedger {
  switch (body.kind) {
    case "note":
      return foldNote(state, body, rules);
    case "checkpoint":
      return body.checkpoint.state === "active"
        ? foldCommit(state, body.checkpoint, rules)
        : foldEnd(state, body.checkpoint);
    case "move":
      return foldMove(state, body.epoch, body.move);
    case "reserve":
      return state;
  }
}

function foldNote(state: TicketLedger, body: Extract<EntryBody, { kind: "note" }>, rules: TicketRules): TicketLedger {
  const { epoch, topic, detail } = body;
  if (epoch === null) return state;
  switch (topic) {
    case TOPIC.pending:
      return foldPending(state, detail as PendingChange, rules);
    case TOPIC.approval:
      return {
        ...state,
        lives: state.lives.map((life) =>
          (life.carriedOutAs ?? life.epoch) === epoch ? { ...life, owed: false } : life,
        ),
      };
    case TICKET_TOPIC.opening:
      return amend(state, epoch, (life) => ({ ...life, opening: true }));
    case TICKET_TOPIC.opened: {
      const { ticket } = detail as TicketNotes[typeof topic];
      return amend(state, epoch, (life) => ({ ...life, ticket, opening: false }));
    }
    case TICKET_TOPIC.conflicts: {
      const { found } = detail as TicketNotes[typeof topic];
      return amend(state, epoch, (life) => ({ ...life, conflicts: { state: "checked", found } }));
    }
    case TICKET_TOPIC.finished:
      return { ...state, lives: state.lives.filter((life) => life.epoch !== epoch) };
    default:
      return state;
  }
}

function foldPending(state: TicketLedger, change: PendingChange, rules: TicketRules): TicketLedger {
  // Its author brought a ticket of their own.
  if (change.record.ticket !== undefined) return state;
  const { epoch, author, record, services, proposedAtMs, expiresAtMs, verdicts } = change;
  const id = correlationId(rules.fleet, epoch);
  return add(state, rules, {
    ...NEW_LIFE,
    epoch,
    type: "normal",
    author,
    goal: { kind: "approve" },
    owed: false,
    draft: draftOf({
      type: "normal",
      correlationId: id,
      epoch,
      record: { ...record, why: change.why },
      services,
      outside: verdicts.filter(({ ok }) => !ok).map(({ text }) => text),
      ciOf: rules.ciOf,
      plannedStartMs: proposedAtMs,
      plannedEndMs: expiresAtMs,
    }),
  });
}

const NEW_LIFE = { carriedOutAs: null, opening: false, ticket: null, conflicts: { state: "unknown" } } as const;

function foldCommit(state: TicketLedger, { record, moves }: Checkpoint, rules: TicketRules): TicketLedger {
  const commit = moves.find(({ move }) => move === "commit");
  const atMs = commit?.atMs ?? record.createdAtMs;
  const approve = moves.find(({ move }) => move === "approve");
  const approval = approve === undefined ? null : (approve.detail as { approval: Approval }).approval;
  const owed = approval?.kind === "owed";
  const goal: Goal = { kind: "implement", atMs };
  // A further step of a change: its ticket, if it has one, goes on with it.
  const previous = record.rollout?.previous ?? null;
  if (previous !== null) return { ...state, lives: state.lives.map((life) => followed(life, previous, record.epoch)) };
  if (record.change !== undefined && state.lives.some(({ epoch }) => epoch === record.change)) {
    return amend(state, record.change, (life) => ({ ...life, carriedOutAs: record.epoch, goal, owed }));
  }
  if (record.ticket !== undefined) return state;
  // A broken freeze is authorised afterwards, like an emergency.
  const type = owed ? "emergency" : record.changeType;
  if (type === "standard" && !rules.standard) return state;
  return add(state, rules, {
    ...NEW_LIFE,
    epoch: record.epoch,
    type,
    author: record.author,
    goal,
    owed,
    draft: draftOf({
      type,
      correlationId: correlationId(rules.fleet, record.epoch),
      epoch: record.epoch,
      record,
      services: changedServices(record),
      outside: [],
      ciOf: rules.ciOf,
      plannedStartMs: atMs,
      plannedEndMs: atMs + rules.windowMs,
    }),
  });
}

function followed(life: TicketLife, previous: number, epoch: number): TicketLife {
  return (life.carriedOutAs ?? life.epoch) === previous ? { ...life, carriedOutAs: epoch } : life;
}

/** A checkpoint that ended before its commit. The waiting one whose change was carried out under a later epoch ends so too. */
function foldEnd(state: TicketLedger, { record, moves }: Checkpoint): TicketLedger {
  const last = moves.at(-1);
  const reason = (last?.detail as { reason?: string } | undefined)?.reason ?? "ended before it went out";
  return amend(state, record.epoch, (life) =>
    life.carriedOutAs !== null || life.goal.kind !== "approve" ? life : { ...life, goal: { kind: "cancel", reason } },
  );
}

function foldMove(state: TicketLedger, epoch: number, made: Move): TicketLedger {
  return {
    ...state,
    lives: state.lives.map((life) => {
      if ((life.carriedOutAs ?? life.epoch) !== epoch) return life;
      const startedAtMs = startOf(life.goal);
      if (startedAtMs === null) return life;
      const verdict = outcomeOf(made, epoch);
      // Later moves only ever make a good outcome worse.
      if (verdict === null || (life.goal.kind === "close" && verdict.code !== "unsuccessful")) return life;
      const outcome: TicketOutcome = { ...verdict, startedAtMs, endedAtMs: made.atMs };
      return { ...life, goal: { kind: "close", outcome } };
    }),
  };
}

function startOf(goal: Goal): number | null {
  if (goal.kind === "implement") return goal.atMs;
  return goal.kind === "close" ? goal.outcome.startedAtMs : null;
}

/** - baked: successful.   - superseded before: it worked, but was not watched to the end.   - rolled back: unsuccessful. */
function outcomeOf({ move, detail }: Move, epoch: number): Pick<TicketOutcome, "code" | "notes"> | null {
  switch (move) {
    case "bake":
    case "close": {
      const { text, more } = detail as MoveDetails["bake"];
      if (more === true) return null;
      return { code: "successful", notes: `Epoch ${epoch}: ${text}` };
    }
    case "supersede": {
      const { byEpoch } = detail as MoveDetails["supersede"];
      return { code: "successful_issues", notes: `Epoch ${byEpoch} took its place before its bake time was over.` };
    }
    case "rollBack": {
      const { byEpoch, reason } = detail as MoveDetails["rollBack"];
      return { code: "unsuccessful", notes: `Rolled back by epoch ${byEpoch}: ${reason}` };
    }
    default:
      return null;
  }
}

function amend(state: TicketLedger, epoch: number, change: (life: TicketLife) => TicketLife): TicketLedger {
  return { ...state, lives: state.lives.map((life) => (life.epoch === epoch ? change(life) : life)) };
}

function add(state: TicketLedger, rules: TicketRules, life: TicketLife): TicketLedger {
  if (state.lives.some(({ epoch }) => epoch === life.epoch)) return state;
  if (state.lives.length < rules.maxLives) return { ...state, lives: [...state.lives, life] };
  // What was approved by rule is the least to lose: it stands in Ballast's own log.
  const spare = state.lives.findIndex(
    ({ type, opening, ticket }) => type === "standard" && !opening && ticket === null,
  );
  const skipped = state.skipped + 1;
  if (spare < 0 || life.type === "standard") return { ...state, skipped };
  return { lives: [...state.lives.toSpliced(spare, 1), life], skipped };
}

/**
 * For a log that was never followed: what ended, or was approved by rule, before there was a ticket system is history and
 * gets no ticket; what waits or owes does.
 */
export function withoutHistory(state: TicketLedger): TicketLedger {
  const owes = ({ goal, owed }: TicketLife) => goal.kind === "approve" || (goal.kind === "implement" && owed);
  return { lives: state.lives.filter((life) => life.ticket !== null || life.opening || owes(life)), skipped: 0 };
}
