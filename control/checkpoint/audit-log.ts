import { BallastError } from "../../common/errors.ts";
import { type Anchor, AnchorWatch } from "./anchor.ts";
import type { AuditReport } from "./audit.ts";
import type { ChainFault, Entry } from "./chain.ts";
import { LogWalk } from "./log-walk.ts";
import { sha256Hex, type TableRef } from "./record.ts";
import { type CheckpointStore, type Head, LEADER_LEASE } from "./store.ts";

/** Entries read at a time. */
const PAGE = 100;
/** Tables remembered as sound, so that a long log does not read each again; a log names few different ones. */
const MAX_REMEMBERED = 10_000;

/** As a report's own bound. */
const MAX_FAULTS = 100;

/**
 * Verifies a store through its own verbs, from the first entry: hashes and links, every move against the state machine, the
 * terms (which never fall), every table that a commit names against both its digests, the head and the leader's lease against
 * the log. For a store that is a file, `auditVerify` also reads behind the verbs. Goes on behind an entry at fault, and then
 * judges of each later one what it shows by itself: hash, number, link, tables. Where the head cannot be read, only head and
 * lease are named: it says where the log ends. With an anchor, that its entry is there too. Throws STORE_UNREADABLE when the
 * store cannot be read.
 */
export async function auditLog(store: CheckpointStore, anchor: Anchor | null = null): Promise<AuditReport> {
  const walk = new LogWalk();
  const sound = new Set<string>();
  const faults: ChainFault[] = [];
  const fault: Fault = (seq, what) => {
    if (faults.length < MAX_FAULTS) faults.push({ seq, what });
  };
  const head = await unlessCorrupt(store.head(), (what) => fault(null, what));
  if (head !== null)
    await walkLog(store, { head, walk, sound, anchor, fault, full: () => faults.length >= MAX_FAULTS });
  // After the head: a lease that is taken in between has a higher token than the head that was read.
  await leaderLease(store, head?.term ?? 0, fault);
  return { ok: faults.length === 0, entries: walk.entries, tip: walk.tip, tables: sound.size, faults };
}

type Fault = (seq: number | null, what: string) => void;

interface Walking {
  head: Head;
  walk: LogWalk;
  /** Tables found sound. */
  sound: Set<string>;
  anchor: Anchor | null;
  fault: Fault;
  full: () => boolean;
}

async function walkLog(store: CheckpointStore, { head, walk, sound, anchor, fault, full }: Walking): Promise<void> {
  const watch = new AnchorWatch(anchor);
  for (;;) {
    const page = await readPage(store, walk.next, head.tip.seq);
    for (const read of page) {
      if ("corrupt" in read) {
        fault(read.seq, read.corrupt);
        walk.passTo(read.seq + 1);
        continue;
      }
      const { entry } = read;
      if (entry.seq > walk.next) {
        fault(walk.next, `is missing: the next one has number ${entry.seq}`);
        walk.passTo(entry.seq);
      }
      const what = walk.step(entry) ?? watch.step(entry.seq, entry.hash);
      if (what !== null) {
        fault(entry.seq, what);
        walk.passTo(entry.seq + 1);
      }
      for (const broken of await namedTables(store, entry, sound)) fault(entry.seq, broken);
      const against = entry.seq === head.tip.seq ? walk.againstHead(head) : null;
      if (against !== null) fault(null, against);
    }
    if (page.length === 0 || full()) break;
  }
  const last = walk.next - 1;
  if (last < head.tip.seq) fault(null, `the head names entry ${head.tip.seq}, the log ends at ${last}`);
  const missing = full() ? null : watch.end(last);
  if (missing !== null) fault(null, missing);
}

type Read = { entry: Entry } | { seq: number; corrupt: string };

/** Up to a page of entries; where one of them cannot be read, each alone, up to the head's last. */
async function readPage(store: CheckpointStore, fromSeq: number, tipSeq: number): Promise<Read[]> {
  const page = await unlessCorrupt(store.history({ fromSeq, limit: PAGE }), () => {});
  if (page !== null) return page.map((entry) => ({ entry }));
  const reads: Read[] = [];
  for (let seq = fromSeq; seq < fromSeq + PAGE && seq <= Math.max(tipSeq, fromSeq); seq++) {
    const one = await unlessCorrupt(store.history({ fromSeq: seq, limit: 1 }), (corrupt) =>
      reads.push({ seq, corrupt }),
    );
    if (one?.[0] !== undefined) reads.push({ entry: one[0] });
  }
  return reads;
}

/** What is wrong with the tables that a commit names; those that are sound are added to `sound`. */
async function namedTables(store: CheckpointStore, { body }: Entry, sound: Set<string>): Promise<string[]> {
  if (body.kind !== "checkpoint" || body.checkpoint.state !== "active") return [];
  const key = (ref: TableRef) => `${ref.digest} ${ref.sha256}`;
  const unknown = body.checkpoint.record.tables.filter((ref) => !sound.has(key(ref)));
  if (unknown.length === 0) return [];
  const read = (refs: readonly TableRef[], onCorrupt: (what: string) => void) =>
    unlessCorrupt(store.tables(refs.map((ref) => BigInt(`0x${ref.digest}`))), onCorrupt);
  const all = await read(unknown, () => {});
  const faults: string[] = [];
  for (const ref of unknown) {
    const stored = all ?? (await read([ref], (what) => faults.push(what)));
    if (stored === null) continue;
    const bytes = stored.get(BigInt(`0x${ref.digest}`))?.bytes;
    if (bytes === undefined) faults.push(`names the table ${ref.digest} of ${ref.service}, which is not stored`);
    else if (sha256Hex(bytes) !== ref.sha256)
      faults.push(`the table ${ref.digest} of ${ref.service} has another SHA-256`);
    else if (sound.size < MAX_REMEMBERED) sound.add(key(ref));
  }
  return faults;
}

async function leaderLease(store: CheckpointStore, term: number, fault: Fault): Promise<void> {
  let sound = true;
  const lease = await unlessCorrupt(store.readLease(LEADER_LEASE), (what) => {
    sound = false;
    fault(null, what);
  });
  const token = lease?.token ?? 0;
  if (sound && token < term) fault(null, `the leader's lease has token ${token}, the head term ${term}`);
}

/** What a verb answers, or null after saying what is corrupt. */
async function unlessCorrupt<T>(answer: Promise<T>, onCorrupt: (what: string) => void): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof BallastError && error.code === "STORE_CORRUPT")) throw error;
    onCorrupt(error.message);
    return null;
  }
}
