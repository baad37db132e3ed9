import type { BallastConfig } from "../config/config.ts";
import { parseConfig } from "../config/load-config.ts";
import type {
  ChangeRecord,
  CiRecord,
  EstateRecords,
  IncidentRecord,
  Reference,
  RelationRecord,
  TaskCiRecord,
} from "../ingest/records.ts";
import { buildEstate } from "./build-estate.ts";
import type { Estate, TargetWindow } from "./estate.ts";

/** sys_ids of the fixtures are their keys, so that tests read like the estate they draw. */
const origin = (table: string, sysId: string): CiRecord["provenance"] => ({
  file: `${table}.json`,
  table,
  index: 0,
  line: 1,
  sysId,
});
export const ref = (sysId: string): Reference => ({ sysId, display: "" });

export function ci(sysId: string, className: string, more: Partial<CiRecord> = {}): CiRecord {
  const provenance = origin(className, sysId);
  return { kind: "ci", sysId, name: sysId, className, lifecycle: "operational", updatedMs: null, provenance, ...more };
}

export function relation(
  parent: string,
  child: string,
  type = "Depends on::Used by",
  sysId = `${parent}>${child}`,
): RelationRecord {
  return {
    kind: "relation",
    sysId,
    parent: ref(parent),
    child: ref(child),
    type,
    provenance: origin("cmdb_rel_ci", sysId),
  };
}

export const NINE_MS = Date.UTC(2026, 2, 2, 9);
export const HOUR_MS = 3_600_000;

/** An approved, scheduled change from 9 to 11. */
export function change(number: string, on: string, more: Partial<ChangeRecord> = {}): ChangeRecord {
  return {
    kind: "change",
    sysId: number,
    number,
    state: "scheduled",
    approval: "approved",
    onHold: false,
    plannedStartMs: NINE_MS,
    plannedEndMs: NINE_MS + 2 * HOUR_MS,
    workStartMs: null,
    workEndMs: null,
    ci: on === "" ? { sysId: "", display: "" } : ref(on),
    updatedMs: null,
    provenance: origin("change_request", number),
    ...more,
  };
}

export function incident(number: string, on: string, more: Partial<IncidentRecord> = {}): IncidentRecord {
  return {
    kind: "incident",
    sysId: number,
    number,
    state: "in progress",
    priority: 1,
    openedMs: NINE_MS,
    ci: ref(on),
    updatedMs: null,
    provenance: origin("incident", number),
    ...more,
  };
}

export function taskCi(task: string, on: string): TaskCiRecord {
  const sysId = `${task}+${on}`;
  return { kind: "task_ci", sysId, task: ref(task), ci: ref(on), provenance: origin("task_ci", sysId) };
}

/** Pay depends on app-a and app-b; each runs on two servers and needs its site's database, which has a server of its own. */
export function twoSites(more: Partial<EstateRecords> = {}): EstateRecords {
  const cis = [ci("Pay", "cmdb_ci_service"), ci("Report", "cmdb_ci_service"), ci("report-db", "cmdb_ci_db_instance")];
  const relations = [relation("Report", "report-db")];
  for (const site of ["a", "b"]) {
    const cpu = { cpuCores: site === "a" ? 8 : 4, cpuSpeedMhz: 2500 };
    cis.push(ci(`app-${site}`, "cmdb_ci_appl"), ci(`db-${site}`, "cmdb_ci_db_instance"));
    cis.push(ci(`srv-${site}1`, "cmdb_ci_linux_server", cpu), ci(`srv-${site}2`, "cmdb_ci_linux_server", cpu));
    cis.push(ci(`srv-db-${site}`, "cmdb_ci_server", cpu), ci(`sw-${site}`, "cmdb_ci_ip_switch"));
    relations.push(relation("Pay", `app-${site}`), relation(`app-${site}`, `db-${site}`));
    relations.push(
      relation(`app-${site}`, `srv-${site}1`, "Runs on::Runs"),
      relation(`app-${site}`, `srv-${site}2`, "Runs on::Runs"),
    );
    relations.push(
      relation(`db-${site}`, `srv-db-${site}`, "Hosted on::Hosts"),
      relation(`srv-db-${site}`, `sw-${site}`, "Uses::Used by"),
    );
  }
  return {
    source: "export",
    changes: [],
    incidents: [],
    taskCis: [],
    findings: [],
    ...more,
    cis: [...cis, ...(more.cis ?? [])],
    relations: [...relations, ...(more.relations ?? [])],
  };
}

export const YAML = `version: 1
fleet: f
estate: { servicenow: export }
services:
  pay:
    ci: Pay
    capacity: { rpsPerCore: 10 }
    targets:
      pay-a: { ci: app-a, base: 60% }
      pay-b: { ci: app-b, base: 40% }
`;

export function config(yaml = YAML): BallastConfig {
  return parseConfig(yaml, "ballast.yaml");
}

export function build(records: EstateRecords, yaml = YAML): Estate {
  return buildEstate({ records, config: config(yaml), nowMs: 0 });
}

/** Windows of one target. */
export function windowsOf(estate: Estate, target: string): TargetWindow[] {
  for (const service of estate.services.values()) {
    const found = service.targets.find((t) => t.name === target);
    if (found !== undefined) return found.windows;
  }
  throw new Error(`no target ${target}`);
}

/** `severity CODE` of each finding. */
export function codes(estate: Estate): string[] {
  return estate.findings.map((finding) => `${finding.severity} ${finding.code}`);
}
