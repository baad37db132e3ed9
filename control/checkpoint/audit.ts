import { DatabaseSync } from "node:sqlite";
import { BallastError } from "../../common/errors.ts";
import { digestHex } from "../../common/xxh64.ts";
import { decodeTable, tableDigest } from "../table/codec.ts";
import type { Anchor } from "./anchor.ts";
import { type ChainFault, stateOf, unseal, verifyChain } from "./chain.ts";
import { stateAfter } from "./moves.ts";
import { sha256Hex, type TableRef } from "./record.ts";
import {
  APPLICATION_ID,
  type KeepsakeRow,
  keepsakeSum,
  LAYOUT,
  type LeaseRow,
  leaseSum,
  SCHEMA,
} from "./sqlite-schema.ts";
import { LEADER_LEASE } from "./store.ts";

export interface AuditReport {
  ok: boolean;
  /** Entries whose hashes and links are sound. */
  entries: number;
  /** Hash of the last sound entry: compare it with a copy kept elsewhere to find a log that was cut off at its end. */
  tip: string;
  tables: number;
  /** At most MAX_FAULTS. */
  faults: ChainFault[];
}

const MAX_FAULTS = 100;

interface LogRow {
  seq: number;
  epoch: number | null;
  kind: string;
  state: string | null;
  line: string;
  hash: string;
}

/**
 * Verifies a store file from the first byte of its log: SQLite's own integrity check, the hash chain, the columns against
 * the entries, every move against the state machine, every stored table against its digests, the head and the leases against
 * the log and their sums, the keepsakes against theirs; with an anchor, that its entry is there. Reads only. Throws STORE_UNREADABLE when the file cannot be opened as a store at all.
 */
export function auditVerify(path: string, anchor: Anchor | null = null): AuditReport {
  const faults: ChainFault[] = [];
  const report: AuditReport = { ok: false, entries: 0, tip: "", tables: 0, faults };
  const fault = (what: string, seq: number | null = null) => {
    if (faults.length < MAX_FAULTS) faults.push({ seq, what });
  };
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(path, { readOnly: true });
    const { application_id: id } = db.prepare("PRAGMA application_id").get() as { application_id: number };
    const { user_version: layout } = db.prepare("PRAGMA user_version").get() as { user_version: number };
    if (id !== APPLICATION_ID || layout !== LAYOUT) {
      throw new BallastError("STORE_UNREADABLE", `${path} is not a Ballast store of layout ${LAYOUT}`);
    }
  } catch (error) {
    db?.close();
    throw BallastError.from(error, "STORE_UNREADABLE");
  }
  try {
    // One snapshot for all that follows: a server may go on writing.
    db.exec("BEGIN");
    const sound = db.prepare("PRAGMA integrity_check(10)").all() as { integrity_check: string }[];
    for (const { integrity_check: text } of sound) if (text !== "ok") fault(`SQLite: ${text}`);
    verifySchema(db, fault);
    const term = verifyLog(db, anchor, report, fault) ? verifyEntries(db, fault) : 0;
    report.tables = verifyTables(db, fault);
    verifyLeases(db, term, fault);
    verifyKeepsakes(db, fault);
  } catch (error) {
    // A damaged page ends the reading; what was found before it is still worth reporting.
    fault(`reading stopped: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    db.close();
  }
  report.ok = faults.length === 0;
  return report;
}

type Fault = (what: string, seq?: number | null) => void;

function logRows(db: DatabaseSync): IterableIterator<LogRow> {
  return db
    .prepare("SELECT seq, epoch, kind, state, line, hash FROM log ORDER BY seq")
    .iterate() as unknown as IterableIterator<LogRow>;
}

/** The triggers that keep the log append-only must still be there, as they were made. */
function verifySchema(db: DatabaseSync, fault: Fault): void {
  const fresh = new DatabaseSync(":memory:");
  fresh.exec(SCHEMA);
  // Indexes that SQLite makes itself have no text; they belong to a table all the same.
  const query = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name";
  const text = (row: Record<string, unknown>) => `on ${row.tbl_name}: ${row.sql}`;
  const found = new Map(
    db
      .prepare(query)
      .all()
      .map((row) => [`${row.type} ${row.name}`, text(row)]),
  );
  for (const row of fresh.prepare(query).all()) {
    const name = `${row.type} ${row.name}`;
    if (found.get(name) !== text(row)) fault(`${name} is not as it was made`);
    found.delete(name);
  }
  for (const name of found.keys()) fault(`${name} is not ours`);
  fresh.close();
}

/** False when the chain is broken: what follows is then only held against its own hashes. */
function verifyLog(db: DatabaseSync, anchor: Anchor | null, report: AuditReport, fault: Fault): boolean {
  const chain = verifyChain(logRows(db), anchor);
  report.entries = chain.entries;
  report.tip = chain.tip;
  if (chain.fault === null) return true;
  fault(chain.fault.what, chain.fault.seq);
  const from = chain.fault.seq ?? Number.POSITIVE_INFINITY;
  for (const { seq, line, hash } of logRows(db))
    if (seq > from && sha256Hex(line) !== hash) fault("its text does not hash to its hash", seq);
  return false;
}

/** The columns, the moves and the head; the last term. The chain is known to be sound. */
function verifyEntries(db: DatabaseSync, fault: Fault): number {
  const states = new Map<number, string>();
  let reserved = 0;
  let term = 0;
  let committed = { epoch: 0, seq: 0 };
  for (const row of logRows(db)) {
    const { body, term: written } = unseal(row.line, row.hash);
    if (written < term) fault(`has term ${written}, after ${term}`, row.seq);
    term = Math.max(term, written);
    if (row.epoch !== body.epoch || row.kind !== body.kind || row.state !== stateOf(body)) {
      fault("its columns do not say what its text says", row.seq);
    }
    if (body.kind === "reserve") {
      if (body.epoch <= reserved) fault(`reserves epoch ${body.epoch} again`, row.seq);
      reserved = Math.max(reserved, body.epoch);
    } else if (body.kind === "checkpoint") {
      const { epoch, checkpoint } = body;
      if (checkpoint.state === "active") {
        if (checkpoint.record.parent !== committed.epoch)
          fault(`epoch ${epoch} does not follow ${committed.epoch}`, row.seq);
        committed = { epoch, seq: row.seq };
      }
      for (const ref of checkpoint.state === "active" ? checkpoint.record.tables : [])
        verifyRef(db, ref, row.seq, fault);
      states.set(epoch, checkpoint.state);
    } else if (body.kind === "move") {
      const { from, to, move } = body.move;
      if (states.get(body.epoch) !== from || stateAfter(from, move) !== to)
        fault(`moves epoch ${body.epoch} illegally`, row.seq);
      states.set(body.epoch, to);
    }
  }
  const head = db.prepare("SELECT epoch, seq, reserved FROM head").get() as {
    epoch: number;
    seq: number;
    reserved: number;
  };
  if (head.epoch !== committed.epoch || head.seq !== committed.seq) {
    fault(`the head names epoch ${head.epoch} at entry ${head.seq}, the log ${committed.epoch} at ${committed.seq}`);
  }
  if (head.reserved !== reserved) fault(`the head says ${head.reserved} epochs are reserved, the log ${reserved}`);
  return term;
}

function verifyLeases(db: DatabaseSync, term: number, fault: Fault): void {
  let given = 0;
  const rows = db.prepare("SELECT name, holder, token, expires_ms, sum FROM lease").all() as unknown as LeaseRow[];
  for (const row of rows) {
    if (leaseSum(row) !== row.sum) fault(`lease ${row.name}: its fields do not make its sum`);
    if (row.name === LEADER_LEASE) given = row.token;
  }
  if (given < term) fault(`the leader's lease has token ${given}, the log term ${term}`);
}

function verifyKeepsakes(db: DatabaseSync, fault: Fault): void {
  const rows = db.prepare("SELECT name, term, text, sum FROM keepsake").iterate() as unknown as Iterable<KeepsakeRow>;
  for (const row of rows)
    if (keepsakeSum(row) !== row.sum) fault(`keepsake ${row.name}: its text does not make its sum`);
}

function verifyRef(db: DatabaseSync, ref: TableRef, seq: number, fault: Fault): void {
  const row = db.prepare("SELECT bytes FROM weight_table WHERE digest = ?").get(ref.digest) as
    | { bytes: Uint8Array }
    | undefined;
  if (row === undefined) fault(`names the table ${ref.digest} of ${ref.service}, which is not stored`, seq);
  else if (sha256Hex(row.bytes) !== ref.sha256)
    fault(`the table ${ref.digest} of ${ref.service} has another SHA-256`, seq);
}

function verifyTables(db: DatabaseSync, fault: Fault): number {
  let count = 0;
  const rows = db
    .prepare("SELECT digest, bytes FROM weight_table ORDER BY digest")
    .iterate() as unknown as IterableIterator<{
    digest: string;
    bytes: Uint8Array;
  }>;
  for (const { digest, bytes } of rows) {
    count += 1;
    try {
      decodeTable(bytes);
      if (digestHex(tableDigest(bytes)) !== digest) fault(`weight table ${digest}: its bytes have another digest`);
    } catch (error) {
      fault(`weight table ${digest}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return count;
}
