import { samePerson } from "../change/approvals.ts";
import type { Actor } from "../checkpoint/record.ts";
import type {
  Conflict,
  Decision,
  TicketDraft,
  TicketOutcome,
  TicketPhase,
  TicketRef,
  TicketType,
  TicketUpdate,
  TicketView,
} from "./ticket-system.ts";

/**
 * Where a ticket has to get to. The checkpoint's moves set it; the ticket system's own view says what is missing.
 * - approve: it waits for its approval.   - implement: it is in force.   - close: it is over.
 * - cancel: it was refused, or aborted before anything changed.
 */
export type Goal =
  | { kind: "approve" }
  | { kind: "implement"; atMs: number }
  | { kind: "close"; outcome: TicketOutcome }
  | { kind: "cancel"; reason: string };

/** One change and its ticket. Plain JSON: it lives in the log. */
export interface TicketLife {
  /** The epoch that the correlation id names: under which the change waits, or went out. */
  epoch: number;
  /** The epoch under which a change that waited was carried out. */
  carriedOutAs: number | null;
  type: TicketType;
  author: Actor;
  goal: Goal;
  /** It went out before anybody approved it. */
  owed: boolean;
  draft: TicketDraft;
  /** It may have been opened: the call was about to be made. */
  opening: boolean;
  ticket: TicketRef | null;
  conflicts: { state: "unknown" } | { state: "checked"; found: readonly Conflict[] };
}

export interface TicketPolicy {
  /** What a normal change does when its ticket has conflicts: wait, or be put before the approvers with them. */
  onConflict: "hold" | "ask";
}

/** The next thing to do for a ticket: a call to the ticket system, a word to change control, or nothing yet. */
export type Step =
  | { do: "open" }
  | { do: "view" }
  | { do: "checkConflicts" }
  | { do: "update"; change: TicketUpdate }
  | { do: "close"; outcome: TicketOutcome }
  | { do: "approve"; by: string; evidence: string }
  | { do: "refuse"; by: string; reason: string }
  | { do: "wait"; why: string }
  | { do: "finish"; why: string };

export function correlationId(fleet: string, epoch: number): string {
  return `ballast:${fleet}:${epoch}`;
}

/**
 * What a ticket needs next. Pure, and made from where the ticket *is*, not from what was called before: after a restart, a
 * lost answer or a hand that moved the ticket, the same question gives the right next call.
 * `view` null: not asked yet.
 */
export function nextStep(life: TicketLife, view: TicketView | null, policy: TicketPolicy): Step {
  if (life.ticket === null) {
    if (life.goal.kind === "cancel" && !life.opening) return { do: "finish", why: "ended before it had a ticket" };
    return { do: "open" };
  }
  if (view === null) return { do: "view" };
  switch (life.goal.kind) {
    case "approve":
      return towardsApproval(life, view, policy);
    case "implement":
      return towardsImplement(life, view, life.goal.atMs);
    case "close":
      return towardsClose(life, view, life.goal.outcome);
    case "cancel":
      return towardsCancel(life, view, life.goal.reason);
  }
}

function towardsApproval(life: TicketLife, view: TicketView, policy: TicketPolicy): Step {
  const { number } = life.ticket!;
  const refused = rejection(view);
  if (refused !== null) return { do: "refuse", ...refused, reason: `${number} was rejected: ${refused.reason}` };
  switch (view.phase) {
    case "closed":
    case "canceled":
      return { do: "refuse", by: "ticket system", reason: `${number} was ${view.phase} before it was approved` };
    case "new": {
      if (life.conflicts.state === "unknown") return { do: "checkConflicts" };
      const { found } = life.conflicts;
      if (found.length > 0 && policy.onConflict === "hold") {
        return { do: "wait", why: `conflicts: ${found.map(({ text }) => text).join("; ")}` };
      }
      const note = found.length === 0 ? {} : { note: `Conflicts: ${found.map(({ text }) => text).join("; ")}` };
      return { do: "update", change: { phase: SUBMITTED[life.type], ...note } };
    }
    case "assess":
    case "authorize":
      return { do: "wait", why: `waits for approval in ${number} (${view.phase})` };
    case "scheduled":
    case "implement":
    case "review":
      return approvalOf(life, view);
  }
}

function towardsImplement(life: TicketLife, view: TicketView, startedAtMs: number): Step {
  const { number } = life.ticket!;
  if (life.owed && !before(view.phase, "scheduled")) {
    const approval = approvalOf(life, view);
    if (approval.do === "approve") return approval;
  }
  switch (view.phase) {
    case "new": {
      const refused = rejection(view);
      if (refused !== null) {
        return { do: "wait", why: `${number} was rejected by ${refused.by} while in force: ${refused.reason}` };
      }
      return { do: "update", change: { phase: SUBMITTED[life.type] } };
    }
    case "assess":
    case "authorize":
      return { do: "wait", why: `in force; waits for approval in ${number} (${view.phase})` };
    case "scheduled":
      return { do: "update", change: { phase: "implement", startedAtMs, note: inForceNote(life) } };
    case "implement":
    case "review":
      return { do: "wait", why: "in force; waits for the end of its bake time" };
    case "closed":
    case "canceled":
      return { do: "finish", why: `${number} was ${view.phase} by somebody else while in force` };
  }
}

function towardsClose(life: TicketLife, view: TicketView, outcome: TicketOutcome): Step {
  switch (view.phase) {
    case "implement":
    case "review":
      // The owed approval first: a closed ticket takes none.
      if (life.owed) {
        const approval = approvalOf(life, view);
        if (approval.do === "approve") return approval;
      }
      return { do: "close", outcome };
    case "closed":
      return { do: "finish", why: `closed as ${outcome.code}` };
    default:
      return towardsImplement(life, view, outcome.startedAtMs);
  }
}

function towardsCancel(life: TicketLife, view: TicketView, reason: string): Step {
  switch (view.phase) {
    case "closed":
    case "canceled":
      return { do: "finish", why: `${view.phase}: ${reason}` };
    case "review": {
      // Under review a ticket can no longer be cancelled; nothing of the change went out.
      const endedAtMs = life.draft.plannedStartMs;
      return { do: "close", outcome: { code: "unsuccessful", notes: reason, startedAtMs: endedAtMs, endedAtMs } };
    }
    default:
      return { do: "update", change: { phase: "canceled", note: reason } };
  }
}

/** The first phase after `new` by type: standard changes are authorised beforehand, emergencies skip the assessment. */
const SUBMITTED = { standard: "scheduled", normal: "assess", emergency: "authorize" } as const satisfies Record<
  TicketType,
  TicketPhase
>;

const ORDER: readonly TicketPhase[] = ["new", "assess", "authorize", "scheduled", "implement", "review", "closed"];
function before(phase: TicketPhase, other: TicketPhase): boolean {
  return phase !== "canceled" && ORDER.indexOf(phase) < ORDER.indexOf(other);
}

function rejection(view: TicketView): { by: string; reason: string } | null {
  if (view.approval !== "rejected") return null;
  const decision = view.decisions.find(({ verdict }) => verdict === "rejected");
  return { by: decision?.by ?? "ticket system", reason: decision?.comment || "no reason given" };
}

/** An approval counts when a person gave it who is neither the change's author nor the account that opened the ticket. */
function approvalOf(life: TicketLife, view: TicketView): Step {
  const { number } = life.ticket!;
  if (view.approval !== "approved") return { do: "wait", why: `${number} is ${view.phase} and not approved` };
  const approvals = view.decisions.filter(({ verdict }) => verdict === "approved");
  const independent = approvals.find((decision) => isIndependent(decision, life.author, view.openedBy));
  if (independent === undefined) {
    const who = approvals.length === 0 ? "nobody that can be named" : approvals.map(({ by }) => by).join(", ");
    return { do: "wait", why: `${number} was approved by ${who}; somebody other than the author must` };
  }
  const names = approvals.map(({ by, atMs }) => `${by}${atMs === null ? "" : ` at ${new Date(atMs).toISOString()}`}`);
  return { do: "approve", by: independent.by, evidence: `${number} approved by ${names.join(", ")}` };
}

export function isIndependent(decision: Decision, author: Actor, openedBy: readonly string[]): boolean {
  const same = (name: string) =>
    (author.kind === "person" && samePerson(author.name, name)) || openedBy.some((opener) => samePerson(opener, name));
  return !decision.names.some(same) && !same(decision.by);
}

function inForceNote({ carriedOutAs, epoch }: TicketLife): string {
  return `In force as epoch ${carriedOutAs ?? epoch}.`;
}
