import { BallastError } from "../../common/errors.ts";
import { digestHex } from "../../common/xxh64.ts";
import { makeSet } from "../table/set.ts";
import type { EncodedTable, TableSet } from "../table/table.ts";
import type { Entry, EntryBody } from "./chain.ts";
import type { Checkpoint } from "./moves.ts";
import type { TableRef } from "./record.ts";

/** What is in force and how far the log has come. */
export interface Head {
  /** The committed epoch; 0 before the first. */
  epoch: number;
  /** Sequence number of its entry; 0 before the first. */
  seq: number;
  /** Highest epoch ever given out; at least `epoch`. */
  reservedEpoch: number;
  /** Newest fencing token; 0 when no lease was ever given. */
  term: number;
  tip: { seq: number; hash: string };
}

export type LeaseAnswer =
  | { granted: true; token: number; expiresAtMs: number }
  | { granted: false; holder: string; expiresAtMs: number };

export interface StandingLease {
  holder: string;
  token: number;
  expiresAtMs: number;
}

export interface LeaseRequest {
  holder: string;
  ttlMs: number;
  token?: number;
  /**
   * The caller has watched the lease with this `expiresAtMs` for longer than its holder would take to renew it: if it still
   * stands so, it is free. Ends a lease that a server whose clock ran ahead took before it died.
   */
  unrenewedMs?: number;
}

/** A value that changes in place beside the log: what a server has learnt and its successor should not learn again. */
export interface Keepsake {
  text: string;
  /** Of the lease it was written under. */
  term: number;
}

/** Longest text of a keepsake, in UTF-8: one message of a NATS server with its default limit of 1 MiB. */
export const MAX_KEEPSAKE_BYTES = 524_288;

export interface HistoryQuery {
  /** First sequence number (or, newest first, the last); default the beginning (the end). */
  fromSeq?: number;
  /** 1 … 1000, default 100. */
  limit?: number;
  epoch?: number;
  kind?: EntryBody["kind"];
  newestFirst?: boolean;
}

/**
 * Where checkpoints live. Six verbs: head; reserve and commit; append; watch; history; lease. Beside the log: tables, keepsakes.
 *
 * Guarantees of every adapter: the log is append-only and hash-chained; an epoch is reserved at most once, for ever; of all
 * commits that expect the same epoch exactly one succeeds; what a call reported as written survives a crash; a write
 * that carries another term than the newest lease is refused (STORE_FENCED), so that an old leader that wakes up
 * changes nothing. A lease alone protects nothing: the expected epoch does.
 *
 * Every method rejects with STORE_UNREADABLE or STORE_CORRUPT when the store itself fails.
 */
export interface CheckpointStore {
  head(): Promise<Head>;

  /**
   * Gives out the next epoch, above every earlier one and above `atLeast` (to adopt a fleet's epoch).
   * STORE_CONFLICT when the committed epoch is not `expectedEpoch`.
   */
  reserve(expectedEpoch: number, by: { holder: string; term: number; atLeast?: number }): Promise<number>;

  /**
   * Makes an `active` checkpoint the head, together with the tables that are not stored yet. All or nothing.
   * STORE_CONFLICT when the head is not `expectedEpoch`, the checkpoint names another parent, or its epoch was not reserved
   * or was used before. What is unsound in itself is refused by {@link checkCommit} with its codes, FLEET_MISMATCH among them.
   */
  commit(expectedEpoch: number, checkpoint: Checkpoint<"active">, tables: readonly EncodedTable[]): Promise<Head>;

  /** Adds a move, a note, or a checkpoint that ended before commit. STORE_CONFLICT when a move does not start where its checkpoint is. */
  append(body: Exclude<EntryBody, { kind: "reserve" }>, by: { term: number }): Promise<Entry>;

  /** All entries from `fromSeq` on, then each new one as it comes, until the signal aborts. */
  watch(fromSeq: number, options: { signal: AbortSignal }): AsyncIterable<Entry>;

  history(query?: HistoryQuery): Promise<Entry[]>;

  /**
   * Takes, renews or asks for a lease. With the `token` of a lease still held it is renewed; without, a lease that is free,
   * expired, held by the same `holder` or not renewed is given under a higher token.
   */
  lease(name: string, by: LeaseRequest): Promise<LeaseAnswer>;

  /** A lease as it stands, for an audit; null when it was never given. Changes nothing. STORE_CORRUPT when its bytes do not make its sum. */
  readLease(name: string): Promise<StandingLease | null>;

  /** Stored tables by digest; digests that are not stored are absent. Bytes are verified: STORE_CORRUPT. */
  tables(digests: readonly bigint[]): Promise<Map<bigint, EncodedTable>>;

  /**
   * Puts a text of at most MAX_KEEPSAKE_BYTES in place of what was kept under the name. It is no part of the log: nothing that
   * serves depends on it, and the audit only holds it against its own sum. STORE_FENCED as for every write.
   */
  keep(name: string, text: string, by: { term: number }): Promise<void>;

  /** Null when nothing was kept. STORE_CORRUPT when its bytes do not make its sum. */
  kept(name: string): Promise<Keepsake | null>;

  close(): Promise<void>;
}

/** Name of the lease whose token is the `term` of writes. */
export const LEADER_LEASE = "leader";

/** The committed checkpoint of an epoch; null when that epoch was never committed. */
export async function committedCheckpoint(store: CheckpointStore, epoch: number): Promise<Checkpoint | null> {
  const entries = await store.history({ epoch, kind: "checkpoint" });
  for (const { body } of entries) {
    if (body.kind === "checkpoint" && body.checkpoint.state === "active") return body.checkpoint;
  }
  return null;
}

/** An epoch's checkpoint in its present state, whether it was committed or ended before; null when the log has none. */
export async function presentCheckpoint(store: CheckpointStore, epoch: number): Promise<Checkpoint | null> {
  let present = null as Checkpoint | null;
  for (const { body } of await store.history({ epoch, limit: 1000 })) {
    if (body.kind === "checkpoint") present = body.checkpoint;
    else if (body.kind === "move" && present !== null) {
      present = { ...present, state: body.move.to, moves: [...present.moves, body.move] };
    }
  }
  return present;
}

/** The set of a committed epoch. EPOCH_NOT_FOUND when it was never committed, STORE_CORRUPT when a table is missing. */
export async function loadSet(store: CheckpointStore, epoch: number): Promise<TableSet> {
  const checkpoint = await committedCheckpoint(store, epoch);
  if (checkpoint === null) throw new BallastError("EPOCH_NOT_FOUND", `epoch ${epoch} was never committed`);
  return setOf(store, epoch, checkpoint.record);
}

/** The set that a record names. STORE_CORRUPT when a table is missing or they do not make that set. */
export async function setOf(
  store: CheckpointStore,
  epoch: number,
  { tables: refs, setDigest }: { tables: readonly TableRef[]; setDigest: string },
): Promise<TableSet> {
  const stored = await store.tables(refs.map((ref) => BigInt(`0x${ref.digest}`)));
  const set = makeSet(
    refs.map((ref) => {
      const table = stored.get(BigInt(`0x${ref.digest}`));
      if (table === undefined) {
        throw new BallastError("STORE_CORRUPT", `the table ${ref.digest} of epoch ${epoch} is not in the store`);
      }
      return table;
    }),
  );
  if (digestHex(set.digest) !== setDigest) {
    throw new BallastError("STORE_CORRUPT", `the tables of epoch ${epoch} do not make its set ${setDigest}`);
  }
  return set;
}

/** The last `count` committed checkpoints with their sets, newest first: what a server needs when it starts. */
export async function recentReleases(
  store: CheckpointStore,
  count: number,
): Promise<{ checkpoint: Checkpoint; set: TableSet }[]> {
  const releases: { checkpoint: Checkpoint; set: TableSet }[] = [];
  let { epoch } = await store.head();
  while (epoch > 0 && releases.length < count) {
    const checkpoint = await committedCheckpoint(store, epoch);
    if (checkpoint === null) throw new BallastError("STORE_CORRUPT", `epoch ${epoch} is not in the log`);
    releases.push({ checkpoint, set: await loadSet(store, epoch) });
    epoch = checkpoint.record.parent;
  }
  return releases;
}

/** In bytes; a message of the smallest size that a NATS server is taken with has room for it. */
const MAX_NAME_BYTES = 512;

/** @throws when a name or a text is longer than a keepsake's may be */
export function checkKeepsake(name: string, text: string): void {
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) throw new Error(`a keepsake cannot be named ${name}`);
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_KEEPSAKE_BYTES) throw new Error(`the keepsake ${name} has ${bytes} bytes`);
}
