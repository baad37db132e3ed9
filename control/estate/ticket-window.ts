import type { ChangeRecord, IncidentRecord } from "../ingest/records.ts";
import type { Finding } from "./estate.ts";

/** What one ticket means for the CIs it lies on, before anyone asks which targets depend on them. */
export type TicketEffect =
  | { acts: true; startMs: number; endMs: number; why: string; findings: Finding[] }
  | { acts: false; why: string; findings: Finding[] };

/**
 * A change acts when it is approved, not on hold, and Scheduled, Implement or Review.
 *
 * - Scheduled: its planned span.
 * - Implement: the work has begun, so from work_start (else the planned start) to work_end, else the planned end. A change
 *   that overruns its planned end is not prolonged: tickets are often closed late, and traffic returns only to a target
 *   that has proved healthy.
 * - Review: the work is done; the actual span, planned times standing in for what is blank.
 */
export function changeEffect(change: ChangeRecord): TicketEffect {
  const none = (why: string): TicketEffect => ({ acts: false, why, findings: [] });
  if (change.state === "unknown") return none("its state is not known");
  if (change.state !== "scheduled" && change.state !== "implement" && change.state !== "review") {
    return none(`it is ${change.state}`);
  }
  if (change.approval !== "approved") return none(`its approval is ${change.approval}`);
  if (change.onHold) return none("it is on hold");

  const begun = change.state !== "scheduled";
  const startMs = (begun ? change.workStartMs : null) ?? change.plannedStartMs;
  const endMs = (begun ? change.workEndMs : null) ?? change.plannedEndMs;
  const refuse = (code: string, what: string): TicketEffect => {
    const message = `${change.number} is approved and ${change.state}, but ${what}; it moves nothing`;
    return { acts: false, why: what, findings: [{ severity: "error", code, message, provenance: change.provenance }] };
  };
  if (startMs === null || endMs === null) {
    return refuse("WINDOW_WITHOUT_TIME", `it has no usable ${startMs === null ? "start" : "end"}`);
  }
  if (endMs < startMs) return refuse("WINDOW_REVERSED", `it ends (${iso(endMs)}) before it starts (${iso(startMs)})`);
  if (endMs === startMs) return refuse("WINDOW_EMPTY", `it starts and ends at the same time (${iso(startMs)})`);
  return { acts: true, startMs, endMs, why: `approved and ${change.state}`, findings: [] };
}

const MAY_YET_BE_APPROVED: ReadonlySet<ChangeRecord["state"]> = new Set(["assess", "authorize", "scheduled"]);

/** The planned span of a change that waits for approval, or null: it would act as soon as somebody approves it. */
export function pendingSpan(change: ChangeRecord): { startMs: number; endMs: number } | null {
  const { plannedStartMs: startMs, plannedEndMs: endMs } = change;
  if (change.approval !== "requested" || change.onHold || !MAY_YET_BE_APPROVED.has(change.state)) return null;
  return startMs === null || endMs === null || endMs <= startMs ? null : { startMs, endMs };
}

/** The open P1 and P2 incidents act, from the time they were opened until somebody resolves them. */
export function incidentEffect(incident: IncidentRecord): TicketEffect {
  const none = (why: string): TicketEffect => ({ acts: false, why, findings: [] });
  if (incident.state === "unknown") return none("its state is not known");
  if (incident.state === "resolved" || incident.state === "closed" || incident.state === "canceled") {
    return none(`it is ${incident.state}`);
  }
  if (incident.priority === null) return none("its priority is not known");
  if (incident.priority > 2) return none(`its priority is ${incident.priority}`);
  // Without a usable time of opening it has been open since before the records begin: an outage is not ignored for that.
  const startMs = incident.openedMs ?? 0;
  return { acts: true, startMs, endMs: Number.POSITIVE_INFINITY, why: `open P${incident.priority}`, findings: [] };
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}
