import { BallastError } from "../../common/errors.ts";
import { digestHex } from "../../common/xxh64.ts";
import { type Anchor, AnchorWatch } from "./anchor.ts";
import type { AuditReport } from "./audit.ts";
import type { ChainFault, Entry } from "./chain.ts";
import { LogWalk } from "./log-walk.ts";
import { sha256Hex, type TableRef } from "./record.ts";
import type { CheckpointStore } from "./store.ts";

/** Entries read at a time. */
const PAGE = 100;
/** Tables remembered as sound, so that a long log does not read each again; a log names few different ones. */
const MAX_REMEMBERED = 10_000;

/**
 * Verifies a store through its own verbs, from the first entry: hashes and links, every move against the state machine, the
 * terms (which never fall), every table that a commit names against both its digests, the head against the log. For a store
 * that is a file, `auditVerify` also reads behind the verbs. Stops at the first fault: what follows a broken link proves
 * nothing. With an anchor, that its entry is there too. Throws STORE_UNREADABLE when the store cannot be read.
 */
export async function auditLog(store: CheckpointStore, anchor: Anchor | null = null): Promise<AuditReport> {
  const watch = new AnchorWatch(anchor);
  const head = await store.head();
  const walk = new LogWalk();
  const sound = new Set<string>();
  const report = (faults: ChainFault[]): AuditReport => ({
    ok: faults.length === 0,
    entries: walk.entries,
    tip: walk.tip,
    tables: sound.size,
    faults,
  });
  for (;;) {
    const page = await readPage(store, walk.entries + 1);
    if ("fault" in page) return report([page.fault]);
    for (const entry of page.entries) {
      const seq = walk.entries + 1;
      const what = walk.step(entry) ?? watch.step(entry.seq, entry.hash) ?? (await namedTables(store, entry, sound));
      if (what !== null) return report([{ seq, what }]);
      if (entry.seq === head.tip.seq) {
        const fault = walk.againstHead(head);
        if (fault !== null) return report([{ seq: null, what: fault }]);
      }
    }
    if (page.entries.length === 0) break;
  }
  if (walk.entries < head.tip.seq) {
    return report([{ seq: null, what: `the head names entry ${head.tip.seq}, the log ends at ${walk.entries}` }]);
  }
  const missing = watch.end(walk.entries);
  return report(missing === null ? [] : [{ seq: null, what: missing }]);
}

/** A page, or the entry that cannot be read. */
async function readPage(
  store: CheckpointStore,
  fromSeq: number,
): Promise<{ entries: Entry[] } | { fault: ChainFault }> {
  const isCorrupt = (error: unknown): error is BallastError =>
    error instanceof BallastError && error.code === "STORE_CORRUPT";
  try {
    return { entries: await store.history({ fromSeq, limit: PAGE }) };
  } catch (error) {
    if (!isCorrupt(error)) throw error;
  }
  // One by one, to name the one at fault after those before it were judged.
  try {
    return { entries: await store.history({ fromSeq, limit: 1 }) };
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    return { fault: { seq: fromSeq, what: error.message } };
  }
}

/** What is wrong with the tables that a commit names, or null; those that are not are added to `sound`. */
async function namedTables(store: CheckpointStore, { body }: Entry, sound: Set<string>): Promise<string | null> {
  if (body.kind !== "checkpoint" || body.checkpoint.state !== "active") return null;
  const key = (ref: TableRef) => `${ref.digest} ${ref.sha256}`;
  const unknown = body.checkpoint.record.tables.filter((ref) => !sound.has(key(ref)));
  if (unknown.length === 0) return null;
  try {
    const stored = await store.tables(unknown.map((ref) => BigInt(`0x${ref.digest}`)));
    const bySum = new Map([...stored.values()].map((table) => [digestHex(table.digest), table.bytes]));
    for (const ref of unknown) {
      const bytes = bySum.get(ref.digest);
      if (bytes === undefined) return `names the table ${ref.digest} of ${ref.service}, which is not stored`;
      if (sha256Hex(bytes) !== ref.sha256) return `the table ${ref.digest} of ${ref.service} has another SHA-256`;
      if (sound.size < MAX_REMEMBERED) sound.add(key(ref));
    }
  } catch (error) {
    if (error instanceof BallastError && error.code === "STORE_CORRUPT") return error.message;
    throw error;
  }
  return null;
}
