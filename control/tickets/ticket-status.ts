import type { TicketLife } from "./ticket-life.ts";
import type { TicketView } from "./ticket-system.ts";

/** What people and `ballast status` see of the ticket system. */
export interface TicketStatus {
  system: string;
  /** False after a call that the ticket system did not answer, refused for its credentials or for its rate. */
  reachable: boolean;
  lastError: { code: string; message: string; atMs: number } | null;
  /** Why tickets are not followed any more; null while they are. */
  stopped: string | null;
  /** Changes that got no ticket because too many were open. */
  skipped: number;
  tickets: readonly TicketLine[];
}

export interface TicketLine {
  epoch: number;
  carriedOutAs: number | null;
  type: TicketLife["type"];
  goal: TicketLife["goal"]["kind"];
  number: string | null;
  url: string | null;
  phase: TicketView["phase"] | null;
  /** What it waits for, or why the last call failed. */
  text: string;
  failures: number;
}
