import type {
  Approval,
  ChangePlan,
  ChangeRecord,
  ChangeState,
  CiRecord,
  IncidentRecord,
  IncidentState,
  Lifecycle,
  RelationRecord,
  TaskCiRecord,
} from "./records.ts";
import { type Fields, quote } from "./servicenow-fields.ts";

/** Codes and labels of the base system's choice lists; an export carries one or the other. */
const CHANGE_STATES: ReadonlyMap<string, ChangeState> = new Map([
  ["-5", "new"],
  ["-4", "assess"],
  ["-3", "authorize"],
  ["-2", "scheduled"],
  ["-1", "implement"],
  ["0", "review"],
  ["3", "closed"],
  ["4", "canceled"],
  ...labels<ChangeState>("new", "assess", "authorize", "scheduled", "implement", "review", "closed", "canceled"),
  ["cancelled", "canceled"],
]);
const INCIDENT_STATES: ReadonlyMap<string, IncidentState> = new Map([
  ["1", "new"],
  ["2", "in progress"],
  ["3", "on hold"],
  ["6", "resolved"],
  ["7", "closed"],
  ["8", "canceled"],
  ...labels<IncidentState>("new", "in progress", "on hold", "resolved", "closed", "canceled"),
  ["cancelled", "canceled"],
]);
const APPROVALS: ReadonlyMap<string, Approval> = new Map([
  ...labels<Approval>("approved", "requested", "not requested", "rejected"),
  ["not yet requested", "not requested"],
]);
const LIFECYCLES: ReadonlyMap<string, Lifecycle> = new Map([
  ["1", "operational"],
  ["2", "not_operational"],
  ["3", "not_operational"],
  ["4", "operational"],
  ["5", "operational"],
  ["6", "retired"],
  ["operational", "operational"],
  ["non-operational", "not_operational"],
  ["repair in progress", "not_operational"],
  ["dr standby", "operational"],
  ["ready", "operational"],
  ["retired", "retired"],
]);
/** install_status: 7 retired, 8 stolen, 100 absent. */
const GONE = new Set(["7", "8", "100", "retired", "stolen", "absent"]);

/** sys_ids of relation types of the base system, for exports that give no names. */
const BASE_RELATION_TYPES: ReadonlyMap<string, string> = new Map([
  ["1a9cb166f1571100a92eb60da2bce5c5", "Depends on::Used by"],
  ["60bc4e22c0a8010e01f074cbe6bd73c3", "Runs on::Runs"],
  ["5f985e0ec0a8010e00a9714f2a172815", "Hosted on::Hosts"],
  ["cb5592603751200032ff8c00dfbe5d17", "Uses::Used by"],
  ["55c95bf6c0a8010e0118ec7056ebc54d", "Contains::Contained by"],
]);

function labels<T extends string>(...words: T[]): [string, T][] {
  return words.map((word) => [word, word]);
}

export function readCi(fields: Fields, table: string): CiRecord {
  const name = fields.text("name");
  if (name === "")
    fields.find("warning", "BLANK_NAME", `CI ${fields.provenance.sysId} has no name; it can be bound by sys_id`);
  const record: CiRecord = {
    kind: "ci",
    sysId: fields.provenance.sysId,
    name: name || fields.provenance.sysId,
    className: fields.text("sys_class_name") || table,
    lifecycle: lifecycleOf(fields),
    updatedMs: fields.time("sys_updated_on", "warning"),
    provenance: fields.provenance,
  };
  // cpu_count counts processors and cpu_core_count the cores of one; either alone is taken as the number of cores.
  const processors = fields.number("cpu_count");
  const cores = fields.number("cpu_core_count");
  if (processors !== undefined || cores !== undefined) record.cpuCores = (processors || 1) * (cores || 1);
  if (processors === 0 && (cores ?? 0) === 0) delete record.cpuCores;
  const speed = fields.number("cpu_speed");
  if (speed !== undefined && speed > 0) record.cpuSpeedMhz = speed;
  const ram = fields.number("ram");
  if (ram !== undefined) record.ramMb = ram;
  const criticality = leadingDigit(fields.text("busines_criticality"), 4);
  if (criticality !== null) record.criticality = criticality;
  const createdMs = fields.time("sys_created_on", "warning");
  if (createdMs !== null) record.createdMs = createdMs;
  return record;
}

function lifecycleOf(fields: Fields): Lifecycle {
  if (GONE.has(fields.text("install_status").toLowerCase())) return "retired";
  const status = fields.text("operational_status");
  if (status === "") return "operational";
  const lifecycle = LIFECYCLES.get(status.toLowerCase());
  if (lifecycle !== undefined) return lifecycle;
  fields.find(
    "warning",
    "UNKNOWN_STATE",
    `CI ${quote(fields.text("name"))}: operational_status ${quote(status)} is not known; taken as operational`,
  );
  return "operational";
}

/** `typeNames` holds the rows of cmdb_rel_type when the export has them. */
export function readRelation(fields: Fields, typeNames: ReadonlyMap<string, string>): RelationRecord {
  const type = fields.reference("type");
  const bySysId = typeNames.get(type.sysId) ?? BASE_RELATION_TYPES.get(type.sysId);
  return {
    kind: "relation",
    sysId: fields.provenance.sysId,
    parent: fields.reference("parent"),
    child: fields.reference("child"),
    type: type.display || fields.text("type.name") || bySysId || "",
    provenance: fields.provenance,
  };
}

export function readChange(fields: Fields): ChangeRecord {
  const state = CHANGE_STATES.get(fields.text("state").toLowerCase()) ?? "unknown";
  const approval = APPROVALS.get(fields.text("approval").toLowerCase()) ?? "unknown";
  const severity = state === "closed" || state === "canceled" || approval === "rejected" ? "warning" : "error";
  if (state === "unknown") {
    const text = `${fields.label}: state ${quote(fields.text("state"))} is not known; the change moves nothing`;
    fields.find(severity, "UNKNOWN_STATE", text);
  }
  if (approval === "unknown") {
    const text = `${fields.label}: approval ${quote(fields.text("approval"))} is not known; the change moves nothing`;
    fields.find(severity, "UNKNOWN_STATE", text);
  }
  return {
    kind: "change",
    sysId: fields.provenance.sysId,
    number: numberOf(fields),
    state,
    approval,
    onHold: ["true", "1", "yes"].includes(fields.text("on_hold").toLowerCase()),
    plannedStartMs: fields.time("start_date", severity),
    plannedEndMs: fields.time("end_date", severity),
    workStartMs: fields.time("work_start", severity),
    workEndMs: fields.time("work_end", severity),
    ci: fields.reference("cmdb_ci"),
    plan: readPlan(fields),
    ...closeCode(fields),
    updatedMs: fields.time("sys_updated_on", "warning"),
    provenance: fields.provenance,
  };
}

/** Values and labels of `close_code`; one with issues was carried out. */
const CLOSE_CODES = new Map<string, NonNullable<ChangeRecord["closed"]>>([
  ["successful", "successful"],
  ["successful_issues", "successful"],
  ["successful with issues", "successful"],
  ["unsuccessful", "unsuccessful"],
]);

function closeCode(fields: Fields): Pick<ChangeRecord, "closed"> {
  const closed = CLOSE_CODES.get(fields.text("close_code").toLowerCase());
  return closed === undefined ? {} : { closed };
}

const RISK_LABELS = new Map([
  ["low", 1],
  ["moderate", 2],
  ["medium", 2],
  ["high", 3],
  ["very high", 4],
]);

/** Fields that are fixed before the work begins. What is written later (actual end, notes) is not read at all, and the close code apart. */
function readPlan(fields: Fields): ChangePlan {
  const type = fields.text("type").toLowerCase();
  const risk = fields.text("risk").toLowerCase();
  const rank = leadingDigit(risk, 4);
  const group = fields.reference("assignment_group");
  return {
    type: type === "standard" || type === "normal" || type === "emergency" ? type : "unknown",
    riskLevel: rank === null ? (RISK_LABELS.get(risk) ?? null) : 5 - rank,
    impact: leadingDigit(fields.text("impact"), 3),
    createdMs: fields.time("sys_created_on", "warning"),
    group: group.sysId || group.display,
  };
}

/** `2 - High` is 2; null for anything that does not begin with a digit from 1 to `most`. */
function leadingDigit(text: string, most: number): number | null {
  const digit = Number(/^([1-9])(?:\D|$)/.exec(text)?.[1] ?? Number.NaN);
  return digit <= most ? digit : null;
}

export function readIncident(fields: Fields): IncidentRecord {
  const text = fields.text("state") || fields.text("incident_state");
  const state = INCIDENT_STATES.get(text.toLowerCase()) ?? "unknown";
  const priority = /^([1-5])\b/.exec(fields.text("priority"))?.[1];
  const ended = state === "resolved" || state === "closed" || state === "canceled";
  const severity = ended || Number(priority ?? 1) > 2 ? "warning" : "error";
  if (state === "unknown") {
    fields.find(
      severity,
      "UNKNOWN_STATE",
      `${fields.label}: state ${quote(text)} is not known; the incident moves nothing`,
    );
  }
  if (priority === undefined && !ended) {
    const found = quote(fields.text("priority"));
    fields.find(
      "warning",
      "BAD_NUMBER",
      `${fields.label}: priority is ${found}, not 1 to 5; the incident moves nothing`,
    );
  }
  return {
    kind: "incident",
    sysId: fields.provenance.sysId,
    number: numberOf(fields),
    state,
    priority: priority === undefined ? null : Number(priority),
    openedMs: fields.time("opened_at", severity),
    resolvedMs: fields.time("resolved_at", "warning"),
    causedBy: fields.reference("caused_by"),
    ci: fields.reference("cmdb_ci"),
    updatedMs: fields.time("sys_updated_on", "warning"),
    provenance: fields.provenance,
  };
}

export function readTaskCi(fields: Fields): TaskCiRecord {
  return {
    kind: "task_ci",
    sysId: fields.provenance.sysId,
    task: fields.reference("task"),
    ci: fields.reference("ci_item"),
    provenance: fields.provenance,
  };
}

function numberOf(fields: Fields): string {
  const number = fields.text("number");
  if (number === "")
    fields.find("warning", "BLANK_NUMBER", `ticket ${fields.provenance.sysId} has no number; its sys_id stands for it`);
  return number || fields.provenance.sysId;
}
