import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { BallastError } from "../../common/errors.ts";
import type { Finding } from "./finding.ts";
import { type RawRecord, RecordScanner, ScanError } from "./record-scanner.ts";
import type { EstateRecord, EstateRecords } from "./records.ts";
import { Fields } from "./servicenow-fields.ts";
import { isScheduleTable, readSchedule, readSpan, SPAN_TABLE } from "./servicenow-schedules.ts";
import { readChange, readCi, readIncident, readRelation, readTaskCi } from "./servicenow-tables.ts";

export interface ServiceNowOptions {
  /** Records over all tables. Default 2,000,000; beyond it the export is refused, never cut. */
  maxRecords?: number;
  /** Size of one file. Default 4 GiB; a file is streamed, so memory follows maxRecords. */
  maxFileBytes?: number;
  /** Characters of one record. Default 262,144; a longer record is refused with a finding. */
  maxRecordLength?: number;
  /** Findings kept; the rest is counted in one last finding. Default 10,000. */
  maxFindings?: number;
  /** Tables that are read. Default: all that are known; a missing one is no finding then. */
  tables?: ReadonlySet<string>;
}

const DEFAULTS: Required<Omit<ServiceNowOptions, "tables">> = {
  maxRecords: 2_000_000,
  maxFileBytes: 4 * 2 ** 30,
  maxRecordLength: 262_144,
  maxFindings: 10_000,
};
const MAX_DEPTH = 16;
const TICKET_TABLES = ["cmdb_rel_ci", "change_request", "incident", "task_ci"];

export type IngestItem = EstateRecord | { kind: "finding"; finding: Finding };

/**
 * Streams the tables of an export folder: `TABLE.json` (or the pages `TABLE.1.json`, `TABLE.2.json` …) as the Table API
 * gives them. Tables: every `cmdb_ci*`, cmdb_rel_ci, cmdb_rel_type, change_request, incident, task_ci, and the change calendar:
 * cmn_schedule, cmn_schedule_blackout, cmn_schedule_maintenance, cmn_schedule_span.
 *
 * A bad record is a finding and the stream goes on; a file that is no export, breaks off, or exceeds a bound throws
 * ESTATE_UNREADABLE, because an estate with an unknown part missing could look healthy.
 */
export async function* streamServiceNow(folder: string, options: ServiceNowOptions = {}): AsyncGenerator<IngestItem> {
  const limits = { ...DEFAULTS, ...options };
  const listed = await listTables(folder);
  const { tables } = options;
  const files = tables === undefined ? listed : listed.filter(({ table }) => tables.has(table));
  if (tables === undefined && !files.some((file) => file.table.startsWith("cmdb_ci"))) {
    throw new BallastError("ESTATE_UNREADABLE", "no CI table (cmdb_ci_service.json, cmdb_ci_server.json …)", {
      position: { file: folder },
    });
  }
  for (const table of TICKET_TABLES) {
    if (tables === undefined && !files.some((file) => file.table === table))
      yield found("warning", "TABLE_MISSING", `no ${table}.json in ${folder}`);
  }
  const typeNames = new Map<string, string>();
  const budget = { left: limits.maxRecords };
  for (const file of files) {
    if (!isKnown(file.table)) {
      yield found("note", "TABLE_NOT_READ", `${join(folder, file.name)}: Ballast has no use for this table`);
      continue;
    }
    for await (const raw of readRecords(join(folder, file.name), limits, budget)) {
      yield* toItems(raw, join(folder, file.name), file.table, typeNames);
    }
  }
}

/** Collects streamServiceNow. */
export async function readServiceNow(folder: string, options: ServiceNowOptions = {}): Promise<EstateRecords> {
  const maxFindings = options.maxFindings ?? DEFAULTS.maxFindings;
  const records: EstateRecords = {
    source: folder,
    cis: [],
    relations: [],
    changes: [],
    incidents: [],
    taskCis: [],
    schedules: [],
    spans: [],
    findings: [],
  };
  let surplus = 0;
  for await (const item of streamServiceNow(folder, options)) {
    switch (item.kind) {
      case "ci":
        records.cis.push(item);
        break;
      case "relation":
        records.relations.push(item);
        break;
      case "change":
        records.changes.push(item);
        break;
      case "incident":
        records.incidents.push(item);
        break;
      case "task_ci":
        records.taskCis.push(item);
        break;
      case "schedule":
        records.schedules?.push(item);
        break;
      case "schedule_span":
        records.spans?.push(item);
        break;
      case "finding":
        if (records.findings.length < maxFindings) records.findings.push(item.finding);
        else surplus++;
    }
  }
  if (surplus > 0) {
    const message = `${surplus} further findings of the export are not listed (bound: ${maxFindings})`;
    records.findings.push({ severity: "error", code: "FINDINGS_CUT", message });
  }
  return records;
}

function found(severity: Finding["severity"], code: string, message: string): IngestItem {
  return { kind: "finding", finding: { severity, code, message } };
}

function isKnown(table: string): boolean {
  if (isScheduleTable(table) || table === SPAN_TABLE) return true;
  return table.startsWith("cmdb_ci") || table === "cmdb_rel_type" || TICKET_TABLES.includes(table);
}

/** Relation types first, since relations name them; otherwise by name and page. */
export async function listTables(folder: string): Promise<{ name: string; table: string }[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (cause) {
    throw new BallastError("ESTATE_UNREADABLE", cause instanceof Error ? cause.message : String(cause), {
      position: { file: folder },
      cause,
    });
  }
  const files: { name: string; table: string; page: number }[] = [];
  for (const name of names) {
    const match = /^([a-z0-9_]+?)(?:[.-](\d{1,6}))?\.json$/.exec(name);
    if (match !== null) files.push({ name, table: match[1]!, page: Number(match[2] ?? 0) });
  }
  const order = (table: string): string => (table === "cmdb_rel_type" ? "" : table);
  return files.sort((a, b) =>
    order(a.table) === order(b.table) ? a.page - b.page : order(a.table) < order(b.table) ? -1 : 1,
  );
}

async function* readRecords(
  file: string,
  limits: Required<Omit<ServiceNowOptions, "tables">>,
  budget: { left: number },
): AsyncGenerator<RawRecord> {
  const refuse = (what: string, line?: number, column?: number, cause?: unknown): BallastError =>
    new BallastError("ESTATE_UNREADABLE", what, {
      position: line === undefined ? { file } : { file, line, ...(column === undefined ? {} : { column }) },
      cause,
    });
  const { size } = await stat(file).catch((cause: Error) =>
    Promise.reject(refuse(cause.message, undefined, undefined, cause)),
  );
  if (size > limits.maxFileBytes) throw refuse(`${size} bytes; at most ${limits.maxFileBytes} are read`);
  const scanner = new RecordScanner({ maxRecordLength: limits.maxRecordLength, maxDepth: MAX_DEPTH });
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = 1;
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 18 })) {
      for (const raw of scanner.push(decoder.decode(chunk as Buffer, { stream: true }))) {
        line = raw.line;
        if (--budget.left < 0) throw refuse(`more than ${limits.maxRecords} records in the export`, line);
        yield raw;
      }
    }
    scanner.push(decoder.decode());
    scanner.end();
  } catch (cause) {
    if (cause instanceof BallastError) throw cause;
    if (cause instanceof ScanError)
      throw refuse(
        `${cause.message}; expected {"result": [ … ]} as the Table API gives it`,
        cause.line,
        cause.column,
        cause,
      );
    if (cause instanceof TypeError) throw refuse(`bytes after line ${line} that are not UTF-8`, line, undefined, cause);
    throw refuse(cause instanceof Error ? cause.message : String(cause), undefined, undefined, cause);
  }
}

function* toItems(raw: RawRecord, file: string, table: string, typeNames: Map<string, string>): Generator<IngestItem> {
  const provenance = { file, table, index: raw.index, line: raw.line, sysId: "" };
  const findings: Finding[] = [];
  const refuse = (code: string, message: string): IngestItem => ({
    kind: "finding",
    finding: { severity: "error", code, message, provenance },
  });
  if (raw.fault !== null) {
    yield refuse("BAD_RECORD", `a record of ${table} is ${raw.fault}; it is not read`);
    return;
  }
  let value: unknown;
  try {
    value = JSON.parse(raw.text);
  } catch (error) {
    yield refuse("BAD_RECORD", `a record of ${table} is no JSON: ${(error as Error).message.slice(0, 200)}`);
    return;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    yield refuse("BAD_RECORD", `an entry of ${table} is no record`);
    return;
  }
  const fields = new Fields(value, provenance, (finding) => findings.push(finding));
  provenance.sysId = fields.text("sys_id");
  if (provenance.sysId === "") {
    yield refuse(
      "BLANK_SYS_ID",
      `${fields.label} of ${table} (${fields.text("name") || "no name"}) has no sys_id; it is not read`,
    );
    return;
  }
  const record = readRecord(fields, table, typeNames);
  for (const finding of findings) yield { kind: "finding", finding };
  if (record !== null) yield record;
}

function readRecord(fields: Fields, table: string, typeNames: Map<string, string>): EstateRecord | null {
  switch (table) {
    case "cmdb_rel_type":
      typeNames.set(fields.provenance.sysId, fields.text("name"));
      return null;
    case "cmdb_rel_ci":
      return readRelation(fields, typeNames);
    case "change_request":
      return readChange(fields);
    case "incident":
      return readIncident(fields);
    case "task_ci":
      return readTaskCi(fields);
    case SPAN_TABLE:
      return readSpan(fields);
    default:
      return isScheduleTable(table) ? readSchedule(fields, table) : readCi(fields, table);
  }
}
