import { digestHex, xxh64 } from "../../common/xxh64.ts";
import { SeededRandom } from "../../control/features/seeded-random.ts";
import type { EstateOptions } from "./options.ts";
import { changes, incidents } from "./tickets.ts";
import { CIS, type DemoCi, RELATIONS } from "./topology.ts";

const BASE = "https://cmdb.example/api/now/table";
const STATES = { new: "-5", authorize: "-3", scheduled: "-2", closed: "3", canceled: "4" } as const;
const INCIDENT_STATES = { "in progress": "2", resolved: "6", closed: "7" } as const;
/** sys_ids of the base system's relation types. */
const RELATION_TYPES = {
  "Depends on::Used by": "1a9cb166f1571100a92eb60da2bce5c5",
  "Runs on::Runs": "60bc4e22c0a8010e01f074cbe6bd73c3",
  "Hosted on::Hosts": "5f985e0ec0a8010e00a9714f2a172815",
  "Uses::Used by": "cb5592603751200032ff8c00dfbe5d17",
} as const;

type Row = Record<string, unknown>;

/** Tables of the export: file name → records as the Table API gives them. */
export function exportTables(options: EstateOptions, clock: { startMs: number; rate: number }): Map<string, Row[]> {
  const { seed } = options;
  const nameOf = (key: string): string => `${key}${options.rename}`;
  const ciOf = (key: string): DemoCi => {
    const ci = CIS.find((c) => c.key === key);
    if (ci === undefined) throw new Error(`the demo has no CI ${key}`);
    return ci;
  };
  const idOf = (key: string): string => sysId(seed, `ci ${key}`);
  const link = (table: string, id: string): Row => ({ link: `${BASE}/${table}/${id}`, value: id });
  const ciLink = (key: string): Row => link("cmdb_ci", idOf(ciOf(key).key));
  const tables = new Map<string, Row[]>();
  const add = (table: string, row: Row): void => {
    const rows = tables.get(table);
    if (rows === undefined) tables.set(table, [row]);
    else rows.push(row);
  };
  const updated = time(clock.startMs - 86_400_000);

  for (const ci of CIS) {
    add(ci.table, {
      sys_id: idOf(ci.key),
      name: nameOf(ci.key),
      sys_class_name: ci.className,
      operational_status: ci.retired === true ? "6" : "1",
      install_status: ci.retired === true ? "7" : "1",
      ...(ci.cpu === undefined
        ? {}
        : {
            cpu_count: String(ci.cpu.count),
            cpu_core_count: String(ci.cpu.cores),
            cpu_speed: String(ci.cpu.mhz),
            ram: String(ci.cpu.ramMb),
          }),
      sys_updated_on: updated,
    });
  }
  for (const { dependent, dependency, type } of RELATIONS) {
    const wrong = options.reverseRelation && dependent === "pay-app-b" && dependency === "core-db-b";
    add("cmdb_rel_ci", {
      sys_id: sysId(seed, `rel ${dependent} ${dependency}`),
      parent: ciLink(wrong ? dependency : dependent),
      child: ciLink(wrong ? dependent : dependency),
      type: { display_value: type, ...link("cmdb_rel_type", RELATION_TYPES[type]) },
    });
  }

  const random = new SeededRandom(seed);
  const number = (prefix: string, table: string): string => `${prefix}${31_001 + (tables.get(table)?.length ?? 0)}`;
  const calendar = changes(options, clock, random).sort((a, b) => a.startMs - b.startMs || (a.key < b.key ? -1 : 1));
  for (const change of calendar) {
    const id = sysId(seed, `change ${change.key}`);
    const done = change.state === "closed";
    add("change_request", {
      sys_id: id,
      number: number("CHG00", "change_request"),
      type: "normal",
      state: STATES[change.state],
      approval: change.approval,
      on_hold: String(change.onHold === true),
      short_description: change.text,
      risk: "3",
      impact: "2",
      start_date: time(change.startMs),
      end_date: time(change.endMs),
      work_start: done ? time(change.startMs + 300_000) : "",
      work_end: done ? time(change.endMs - 600_000) : "",
      cmdb_ci: ciLink(change.ci),
      sys_updated_on: updated,
    });
    for (const key of new Set(change.more ?? [])) {
      add("task_ci", {
        sys_id: sysId(seed, `task_ci ${change.key} ${key}`),
        task: link("change_request", id),
        ci_item: ciLink(key),
      });
    }
  }
  for (const incident of incidents(clock, random).sort((a, b) => a.openedMs - b.openedMs)) {
    add("incident", {
      sys_id: sysId(seed, `incident ${incident.key}`),
      number: number("INC00", "incident"),
      state: INCIDENT_STATES[incident.state],
      priority: String(incident.priority),
      short_description: incident.text,
      opened_at: time(incident.openedMs),
      resolved_at: incident.resolvedMs === null ? "" : time(incident.resolvedMs),
      closed_at: incident.state === "closed" ? time(incident.resolvedMs! + 86_400_000) : "",
      cmdb_ci: ciLink(incident.ci),
      sys_updated_on: updated,
    });
  }
  return tables;
}

/** One record a line, so that a difference between two exports can be read. */
export function tableJson(rows: readonly Row[]): string {
  return `{"result":[\n${rows.map((row) => JSON.stringify(row)).join(",\n")}\n]}\n`;
}

function sysId(seed: number, key: string): string {
  const bytes = new TextEncoder().encode(key);
  return digestHex(xxh64(bytes, BigInt(seed))) + digestHex(xxh64(bytes, BigInt(seed) + 1n));
}

function time(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}
