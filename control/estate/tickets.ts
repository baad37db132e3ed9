import type { Policy } from "../config/config.ts";
import type { ChangeRecord, EstateRecords, IncidentRecord, Reference } from "../ingest/records.ts";
import { keepLatest, rankTime } from "./copies.ts";
import type { Ci, Finding, TargetWindow, TicketVerdict } from "./estate.ts";
import type { Graph } from "./graph.ts";
import type { Reach } from "./reach.ts";
import { changeEffect, incidentEffect, pendingSpan, type TicketEffect } from "./ticket-window.ts";

type Ticket = ChangeRecord | IncidentRecord;

interface Entry {
  ticket: Ticket;
  effect: TicketEffect;
  /** Its CIs, by sys_id. */
  cis: Ci[];
  targets: string[];
}

/** All changes and incidents of an export with what they do, and the windows that targets inherit from them. */
export class TicketBook {
  readonly findings: Finding[] = [];
  readonly #entries: Entry[] = [];

  constructor(records: EstateRecords, graph: Graph) {
    const tickets = [...this.#unique(records.changes), ...this.#unique(records.incidents)];
    const references = this.#referencesByTask(records, tickets);
    for (const ticket of tickets) {
      const effect = ticket.kind === "change" ? changeEffect(ticket) : incidentEffect(ticket);
      this.findings.push(...effect.findings);
      const cis = this.#resolve(ticket, effect, references.get(ticket.sysId) ?? [], graph);
      this.#entries.push({ ticket, effect, cis, targets: [] });
    }
  }

  /** The windows of one target; a ticket on several CIs of its path counts once, by the nearest of them. */
  windowsOf(target: string, reach: Reach, policy: Policy): TargetWindow[] {
    const windows: TargetWindow[] = [];
    for (const entry of this.#entries) {
      const { ticket, effect } = entry;
      if (!effect.acts) continue;
      const remaining =
        ticket.kind === "change"
          ? policy.changeRemaining
          : ticket.priority === 1
            ? policy.p1Remaining
            : policy.p2Remaining;
      const window = windowOf(entry, reach, effect, remaining);
      if (window === null) continue;
      entry.targets.push(target);
      windows.push(window);
    }
    return windows;
  }

  /** The spans of changes on the target's path that wait for approval. They take nothing from it until they have it. */
  pendingOf(reach: Reach): TargetWindow[] {
    return this.#entries.flatMap((entry) => {
      const span = entry.ticket.kind === "change" ? pendingSpan(entry.ticket) : null;
      return (span === null ? null : windowOf(entry, reach, span, 1)) ?? [];
    });
  }

  /** To be called after windowsOf of every target. */
  verdicts(): TicketVerdict[] {
    const verdicts = this.#entries.map(({ ticket, effect, cis, targets }): TicketVerdict => {
      const acts = effect.acts && targets.length > 0;
      const nobody =
        cis.length === 0 ? "it names no CI of the export" : `no target depends on ${cis.map((c) => c.name).join(", ")}`;
      const why = effect.acts && !acts ? nobody : effect.why;
      return {
        ticket: ticket.number,
        kind: ticket.kind,
        acts,
        why,
        targets: [...targets].sort(),
        provenance: ticket.provenance,
      };
    });
    const key = (v: TicketVerdict): string => `${v.ticket} ${v.provenance.sysId}`;
    return verdicts.sort((a, b) => (key(a) < key(b) ? -1 : 1));
  }

  #unique<T extends Ticket>(records: readonly T[]): T[] {
    const { kept, left } = keepLatest(records, ticketRank);
    for (const copy of left) {
      this.findings.push({
        severity: copy.same ? "note" : "warning",
        code: "DUPLICATE_SYS_ID",
        message: `sys_id ${copy.left.sysId} stands for ${copy.left.number} and for ${copy.kept.number}; ${copy.same ? "they are the same" : "the last updated is used"}`,
        provenance: copy.left.provenance,
      });
    }
    return kept;
  }

  #referencesByTask(records: EstateRecords, tickets: readonly Ticket[]): Map<string, Reference[]> {
    const bySysId = new Set(tickets.map((ticket) => ticket.sysId));
    const byNumber = new Map(tickets.map((ticket) => [ticket.number, ticket.sysId]));
    const references = new Map<string, Reference[]>();
    let others = 0;
    for (const row of records.taskCis) {
      const task = bySysId.has(row.task.sysId) ? row.task.sysId : byNumber.get(row.task.display);
      if (task === undefined) others++;
      else references.set(task, [...(references.get(task) ?? []), row.ci]);
    }
    if (others > 0) {
      const message = `${others} rows of task_ci belong to no change or incident of the export`;
      this.findings.push({ severity: "note", code: "TASK_UNKNOWN", message });
    }
    return references;
  }

  /** A reference that leads nowhere is grave where the ticket would act, and common elsewhere. */
  #resolve(ticket: Ticket, effect: TicketEffect, rows: readonly Reference[], graph: Graph): Ci[] {
    const cis = new Map<string, Ci>();
    for (const reference of [ticket.ci, ...rows]) {
      if (reference.sysId === "" && reference.display === "") continue;
      const ci = graph.resolve(reference);
      if (ci !== undefined) {
        cis.set(ci.id, ci);
        continue;
      }
      const named = reference.display || reference.sysId;
      const message = `${ticket.number} names ${named}, which is no CI of the export`;
      const severity = effect.acts ? "error" : "note";
      this.findings.push({ severity, code: "UNKNOWN_CI", message, provenance: ticket.provenance });
    }
    if (effect.acts && cis.size === 0 && ticket.ci.sysId === "" && rows.length === 0) {
      const message = `${ticket.number} (${effect.why}) names no CI; it moves nothing`;
      this.findings.push({ severity: "warning", code: "TICKET_WITHOUT_CI", message, provenance: ticket.provenance });
    }
    return [...cis.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}

/** The window that a ticket is for a target, by the nearest of its CIs; null when none is on the target's path. */
function windowOf(
  { ticket, cis }: Pick<Entry, "ticket" | "cis">,
  reach: Reach,
  { startMs, endMs }: { startMs: number; endMs: number },
  remaining: number,
): TargetWindow | null {
  let nearest: Ci[] | undefined;
  for (const ci of cis) {
    if (!reach.has(ci.id)) continue;
    const path = reach.path(ci.id);
    if (nearest === undefined || path.length < nearest.length) nearest = path;
  }
  if (nearest === undefined) return null;
  const ci = nearest.at(-1)!;
  return {
    ticket: ticket.number,
    kind: ticket.kind,
    startMs,
    endMs,
    ciId: ci.id,
    ciName: ci.name,
    path: nearest.map((c) => c.name),
    remaining,
    provenance: ticket.provenance,
  };
}

/** Later updates win. */
function ticketRank(ticket: Ticket): string {
  const { provenance: _, ...content } = ticket;
  return `${rankTime(ticket.updatedMs)} ${JSON.stringify(content)}`;
}
