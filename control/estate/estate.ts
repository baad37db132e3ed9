import type { Finding, Provenance } from "../ingest/finding.ts";

export type { Finding, FindingSeverity, Provenance } from "../ingest/finding.ts";

/**
 * The immutable snapshot of everything the planner may know about the company's systems.
 * All times are milliseconds since the Unix epoch (UTC) on the planning calendar.
 */

export interface Ci {
  id: string;
  name: string;
  /** ServiceNow `sys_class_name`, for example `cmdb_ci_db_instance`. */
  className: string;
  /** False when retired or non-operational. */
  operational: boolean;
  /** A retired CI never carries a target, and nothing is inherited through it. */
  retired: boolean;
  /** Numeric capacity facts as exported; absent where the export is blank or not a number. */
  cpuCores?: number;
  cpuSpeedMhz?: number;
  ramMb?: number;
  /** Of a service, 1 (most critical) to 4. */
  criticality?: number;
  provenance: Provenance;
}

/** `dependent` cannot work without `dependency` (for `Depends on::Used by` the parent depends on the child). */
export interface Dependency {
  dependent: string;
  dependency: string;
  /** `cmdb_rel_type` name. */
  type: string;
  provenance: Provenance;
}

export type WindowKind = "change" | "incident" | "freeze" | "maintenance";

/** A span of time in which a ticket takes a CI out of service, as inherited by one target. */
export interface TargetWindow {
  /** Ticket number, for example `CHG0031007`. */
  ticket: string;
  kind: WindowKind;
  startMs: number;
  /** `Infinity` while an incident is open. */
  endMs: number;
  /** CI on which the ticket lies. */
  ciId: string;
  ciName: string;
  /** CI names from the target's own CI to the ticket's CI, both included: how the target inherits it. */
  path: string[];
  /** Share of the target's capacity that remains inside the window, 0 … 1; 0 = out of service. */
  remaining: number;
  provenance: Provenance;
}

/**
 * - configured: `capacityRps` in ballast.yaml.  - estate: cores and clock speeds of the CMDB.
 * - assumed: the CMDB knows no server of the target, or not its cores.  - learnt: from load and latency (control/capacity).
 */
export type CapacityOrigin = "configured" | "estate" | "assumed" | "learnt";

export interface EstateTarget {
  /** Envoy cluster name. */
  name: string;
  ciId: string;
  ciName: string;
  /** Requests per second that the target can answer within its objective, from CMDB facts. */
  capacityRps: number;
  /** One sentence naming the facts the capacity was computed from. */
  capacitySource: string;
  capacityOrigin: CapacityOrigin;
  /** In order of start; only those that may act (approved, not cancelled, on the path). */
  windows: TargetWindow[];
  /** Changes that wait for approval and would act with it, in order of start; absent: none. They only count by their risk. */
  pending?: TargetWindow[];
}

export interface EstateService {
  name: string;
  ciId: string;
  targets: EstateTarget[];
}

/** What became of one ticket: the answer to "why does my change (not) move anything?". */
export interface TicketVerdict {
  ticket: string;
  kind: WindowKind;
  acts: boolean;
  /** One clause, for example `approval is requested` or `no target depends on its CIs`. */
  why: string;
  /** Names of the targets it takes capacity from. */
  targets: string[];
  provenance: Provenance;
}

export interface Estate {
  /** XXH64 of the canonical content, 16 hex digits: names the snapshot in checkpoints. */
  digest: string;
  readAtMs: number;
  cis: ReadonlyMap<string, Ci>;
  dependencies: readonly Dependency[];
  services: ReadonlyMap<string, EstateService>;
  findings: readonly Finding[];
  /** Every change and incident of the export, by ticket. */
  tickets: readonly TicketVerdict[];
}
