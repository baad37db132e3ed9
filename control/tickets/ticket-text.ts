import type { CheckpointRecord, ServiceChange } from "../checkpoint/record.ts";
import type { TicketDraft, TicketType } from "./ticket-system.ts";

/** ServiceNow's own sizes are 160 and 4,000 characters; a snapshot of every open ticket must also fit one log entry. */
const MAX_SUMMARY = 160;
const MAX_TEXT = 3_500;
/** Affected CIs of one ticket. */
const MAX_CIS = 100;

export interface DraftFacts {
  type: TicketType;
  correlationId: string;
  /** The epoch that people will see in `ballast history`. */
  epoch: number;
  record: Pick<CheckpointRecord, "fleet" | "why" | "trigger" | "author" | "parent" | "rollbackOf">;
  /** Only those that change. */
  services: readonly ServiceChange[];
  /** What made it leave the bounds, for a normal change. */
  outside: readonly string[];
  ciOf: (service: string) => string | null;
  plannedStartMs: number;
  plannedEndMs: number;
}

/** What an approver reads: what changes, by how much, and every cause with its effect. */
export function draftOf(facts: DraftFacts): TicketDraft {
  const { record, services, epoch } = facts;
  const names = services.map(({ name }) => name);
  const cis = [...new Set(names.flatMap((name) => facts.ciOf(name) ?? []))].slice(0, MAX_CIS);
  const outside = facts.outside.length === 0 ? [] : ["", "Outside the bounds of a standard change:", ...facts.outside];
  return {
    type: facts.type,
    correlationId: facts.correlationId,
    summary: cut(`Traffic weights of ${names.join(", ") || record.fleet} (epoch ${epoch})`, MAX_SUMMARY),
    description: cut(
      [
        `Fleet ${record.fleet}, epoch ${epoch}, by ${record.author.name} (${record.trigger}): ${record.why}`,
        ...outside,
        ...services.flatMap(explain),
      ].join("\n"),
      MAX_TEXT,
    ),
    justification: cut(record.why, MAX_TEXT),
    backoutPlan: `ballast rollback --to ${record.parent}: the tables of epoch ${record.parent} come back as a new epoch.`,
    cis,
    plannedStartMs: facts.plannedStartMs,
    plannedEndMs: facts.plannedEndMs,
  };
}

/** The services whose targets a record changes; the record itself names all of the fleet. */
export function changedServices(record: CheckpointRecord): ServiceChange[] {
  return record.services.filter(({ targets }) =>
    targets.some(({ beforePpm, weightPpm, draining }) => beforePpm !== weightPpm || draining),
  );
}

function explain({ name, mode, why, targets }: ServiceChange): string[] {
  const lines = ["", `${name} (${mode}): ${why}`];
  for (const { name: target, beforePpm, weightPpm, draining, causes } of targets) {
    const from = beforePpm === null ? "new" : percent(beforePpm);
    lines.push(`  ${target}: ${from} → ${percent(weightPpm)}${draining ? ", draining" : ""}`);
    for (const { kind, ref, text, effectPpm } of causes) {
      lines.push(`    ${effectPpm < 0 ? "−" : "+"}${percent(Math.abs(effectPpm))} ${kind} ${ref}: ${text}`);
    }
  }
  return lines;
}

function percent(ppm: number): string {
  return `${(ppm / 10_000).toFixed(2)}%`;
}

function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}
