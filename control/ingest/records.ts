import type { Repeat } from "../../common/recurrence.ts";
import type { Finding, Provenance } from "./finding.ts";

/** One record of an export as later rooms see it: typed, cleaned of control characters, with its origin. */
export type EstateRecord =
  | CiRecord
  | RelationRecord
  | ChangeRecord
  | IncidentRecord
  | TaskCiRecord
  | ScheduleRecord
  | ScheduleSpanRecord;

/** What ingest found of a company's systems. The order of records carries no meaning. */
export interface EstateRecords {
  /** The folder as the user gave it. */
  source: string;
  cis: CiRecord[];
  relations: RelationRecord[];
  changes: ChangeRecord[];
  incidents: IncidentRecord[];
  taskCis: TaskCiRecord[];
  /** The change calendar; absent: none was read. */
  schedules?: ScheduleRecord[];
  spans?: ScheduleSpanRecord[];
  findings: Finding[];
}

/** A reference to another record. Exports give the sys_id, the name shown to people, or both; the other one is "". */
export interface Reference {
  sysId: string;
  display: string;
}

export type Lifecycle = "operational" | "not_operational" | "retired";

export interface CiRecord {
  kind: "ci";
  sysId: string;
  name: string;
  className: string;
  lifecycle: Lifecycle;
  cpuCores?: number;
  cpuSpeedMhz?: number;
  ramMb?: number;
  /** `busines_criticality` (sic): 1 (most critical) to 4. */
  criticality?: number;
  /** `sys_created_on`: since when the CMDB knows it. */
  createdMs?: number;
  /** `sys_updated_on`; null when absent. Decides between two copies of one record. */
  updatedMs: number | null;
  provenance: Provenance;
}

export interface RelationRecord {
  kind: "relation";
  sysId: string;
  parent: Reference;
  child: Reference;
  /** Name of the relation type, for example `Depends on::Used by`; "" when the export gives an unknown sys_id alone. */
  type: string;
  provenance: Provenance;
}

export type ChangeState =
  | "new"
  | "assess"
  | "authorize"
  | "scheduled"
  | "implement"
  | "review"
  | "closed"
  | "canceled"
  | "unknown";

export type Approval = "approved" | "requested" | "not requested" | "rejected" | "unknown";

export type ChangeType = "standard" | "normal" | "emergency" | "unknown";

/** What stood on a change's form before its work began: the inputs of the risk model. Nothing here is written afterwards. */
export interface ChangePlan {
  type: ChangeType;
  /** 1 (low) to 4 (very high); null when blank. ServiceNow counts the other way round. */
  riskLevel: number | null;
  /** 1 (high) to 3 (low); null when blank. */
  impact: number | null;
  createdMs: number | null;
  /** `assignment_group`, its sys_id or name; "" when blank. */
  group: string;
}

export interface ChangeRecord {
  kind: "change";
  sysId: string;
  number: string;
  state: ChangeState;
  approval: Approval;
  onHold: boolean;
  plannedStartMs: number | null;
  plannedEndMs: number | null;
  workStartMs: number | null;
  workEndMs: number | null;
  ci: Reference;
  /** Absent: nothing of it was read. */
  plan?: ChangePlan;
  /** How it was closed; no feature may see it. Absent: blank, or another word. */
  closed?: "successful" | "unsuccessful";
  updatedMs: number | null;
  provenance: Provenance;
}

export type IncidentState = "new" | "in progress" | "on hold" | "resolved" | "closed" | "canceled" | "unknown";

export interface IncidentRecord {
  kind: "incident";
  sysId: string;
  number: string;
  state: IncidentState;
  /** 1 (critical) to 5; null when absent. */
  priority: number | null;
  openedMs: number | null;
  resolvedMs?: number | null;
  /** The change that is named as its cause. */
  causedBy?: Reference;
  ci: Reference;
  updatedMs: number | null;
  provenance: Provenance;
}

/** A further CI of a ticket: a row of `task_ci`. */
export interface TaskCiRecord {
  kind: "task_ci";
  sysId: string;
  task: Reference;
  ci: Reference;
  provenance: Provenance;
}

/** A row of cmn_schedule, cmn_schedule_blackout or cmn_schedule_maintenance. */
export interface ScheduleRecord {
  kind: "schedule";
  sysId: string;
  name: string;
  type: "blackout" | "maintenance" | "other";
  /** IANA zone; "" for a floating schedule. */
  zone: string;
  provenance: Provenance;
}

/** A row of cmn_schedule_span: one span of a schedule and how it recurs. */
export interface ScheduleSpanRecord {
  kind: "schedule_span";
  sysId: string;
  name: string;
  schedule: Reference;
  /** `type` of the span itself; "other" leaves it to the schedule. */
  type: "blackout" | "maintenance" | "other";
  /** Local times of the first occurrence, or of an instant in UTC when `utc`. */
  start: string;
  end: string;
  utc: boolean;
  repeat: Repeat | null;
  provenance: Provenance;
}
