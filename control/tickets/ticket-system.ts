/**
 * A company's ticket system as change control sees it. Five verbs, so that a second product is one file.
 *
 * Guarantees of every adapter: `open` with a correlation id that has a ticket already gives that ticket; `update` and `close`
 * look at the ticket's phase and do only what is missing, so each may be repeated after a lost answer; no call outlives its
 * bounds. What fails is a BallastError with a TICKET_ code. The caller keeps the order of phases; what the ticket system
 * itself refuses is TICKET_REFUSED with its reason.
 */
export interface TicketSystem {
  /** For messages, for example `servicenow`. */
  readonly name: string;
  open(draft: TicketDraft, options?: CallOptions): Promise<OpenedTicket>;
  /** Runs the check against other changes, blackouts and maintenance windows to its end. TICKET_CHECK_PENDING when it has none in time. */
  checkConflicts(ticket: TicketRef, options?: CallOptions): Promise<readonly Conflict[]>;
  /** Where the ticket stands and who has decided. */
  approvalState(ticket: TicketRef, options?: CallOptions): Promise<TicketView>;
  update(ticket: TicketRef, change: TicketUpdate, options?: CallOptions): Promise<void>;
  close(ticket: TicketRef, outcome: TicketOutcome, options?: CallOptions): Promise<void>;
}

export interface CallOptions {
  signal?: AbortSignal;
}

export type TicketType = "standard" | "normal" | "emergency";

/**
 * - new: not submitted.   - assess: technical review.   - authorize: waits for the authorising approval.
 * - scheduled: approved.   - implement: being carried out.   - review: done, outcome open.   - closed, canceled: ended.
 */
export type TicketPhase = "new" | "assess" | "authorize" | "scheduled" | "implement" | "review" | "closed" | "canceled";

export interface TicketRef {
  /** The ticket system's own key. */
  id: string;
  /** What people call it, for example CHG0030022. */
  number: string;
  /** For people. */
  url: string;
}

export interface OpenedTicket {
  ticket: TicketRef;
  /** Fields that were asked for and not taken, for example because the account may not write them. */
  ignored: readonly string[];
}

/** Times are wall times, ms since the Unix epoch. Texts are cut by the adapter where the ticket system has a limit. */
export interface TicketDraft {
  type: TicketType;
  /** Unique for the change and the same over restarts. */
  correlationId: string;
  summary: string;
  /** What changes and why, for the approver. */
  description: string;
  justification: string;
  backoutPlan: string;
  /** Keys of CIs; the first is the ticket's main one. Empty: none is known. */
  cis: readonly string[];
  plannedStartMs: number;
  plannedEndMs: number;
}

export interface Conflict {
  /** The ticket system's word, for example `blackout` or `not_in_maintenance_window`. */
  type: string;
  /** For people. */
  text: string;
}

export interface TicketView {
  phase: TicketPhase;
  approval: "notRequested" | "requested" | "approved" | "rejected";
  /** Newest first. */
  decisions: readonly Decision[];
  /** Names of the account that opened the ticket: its own approval is nobody's. */
  openedBy: readonly string[];
}

export interface Decision {
  verdict: "approved" | "rejected";
  /** Stands in the record as the approver. */
  by: string;
  /** Every name the ticket system knows the person by: account, full name, mail, key. */
  names: readonly string[];
  /** Wall time; null when it cannot be read. */
  atMs: number | null;
  comment: string;
}

export interface TicketUpdate {
  /** The phase to be in; nothing is done when it is there already. */
  phase: TicketPhase;
  /** One line for the ticket's journal, written only when the phase changes. */
  note?: string;
  /** Actual start, wall time. */
  startedAtMs?: number;
}

export interface TicketOutcome {
  code: "successful" | "successful_issues" | "unsuccessful";
  notes: string;
  /** Actual start and end, wall time. */
  startedAtMs: number;
  endedAtMs: number;
}
