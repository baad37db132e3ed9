import { BallastError } from "../../common/errors.ts";
import { type Anchor, AnchorWatch } from "./anchor.ts";
import { canonicalJson } from "./canonical-json.ts";
import type { Checkpoint, CheckpointState, Move } from "./moves.ts";
import { sha256Hex } from "./record.ts";

/** What an entry of the log says. */
export type EntryBody =
  | { kind: "reserve"; epoch: number; expectedEpoch: number; holder: string }
  /** A whole checkpoint: at its commit, or when it ended before one (refused, aborted). */
  | { kind: "checkpoint"; epoch: number; checkpoint: Checkpoint }
  /** A move after the commit. */
  | { kind: "move"; epoch: number; move: Move }
  /** Anything else worth keeping: activation answers, approvals given late, an adopted epoch. Null: not of one epoch. */
  | { kind: "note"; epoch: number | null; topic: string; detail: unknown };

/** One entry of the append-only log. Its hash covers everything in it, and through prevHash everything before it. */
export interface Entry {
  /** From 1, without gaps. */
  seq: number;
  /** Wall time of the write. */
  atMs: number;
  /** Fencing token of the writer. */
  term: number;
  prevHash: string;
  body: EntryBody;
  /** SHA-256 of the canonical JSON of the fields above, in hex. */
  hash: string;
}

/** prevHash of the first entry. */
export const GENESIS = "0".repeat(64);

/** Largest entry; a record of 1,000 services with ten causes each has about 3 MB. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** The stored text of an entry and its hash. Throws CHECKPOINT_INVALID. */
export function seal(entry: Omit<Entry, "hash">): { line: string; hash: string } {
  const line = canonicalJson(entry);
  if (line.length > MAX_LINE_BYTES) {
    throw new BallastError("CHECKPOINT_INVALID", `the entry has ${line.length} bytes: at most ${MAX_LINE_BYTES}`);
  }
  return { line, hash: sha256Hex(line) };
}

/** The inverse of {@link seal}. The line must have been verified or written by us: its shape is not checked again. */
export function unseal(line: string, hash: string): Entry {
  return { ...(JSON.parse(line) as Omit<Entry, "hash">), hash };
}

/** State of the checkpoint after an entry, or null for entries that do not change one. */
export function stateOf(body: EntryBody): CheckpointState | null {
  if (body.kind === "checkpoint") return body.checkpoint.state;
  return body.kind === "move" ? body.move.to : null;
}

export interface ChainFault {
  /** Entry at fault, or null when it lies elsewhere. */
  seq: number | null;
  what: string;
}

/**
 * Walks a log from its first entry. Names the first entry whose bytes, order or link do not fit; what follows a broken link
 * cannot be trusted and is not judged.
 */
export function verifyChain(
  lines: Iterable<{ seq: number; line: string; hash: string }>,
  anchor: Anchor | null = null,
): { entries: number; tip: string; fault: ChainFault | null } {
  const watch = new AnchorWatch(anchor);
  let entries = 0;
  let tip = GENESIS;
  for (const { seq, line, hash } of lines) {
    const fault = (what: string) => ({ entries, tip, fault: { seq: entries + 1, what } });
    if (seq !== entries + 1) return fault(`is missing: the next one has number ${seq}`);
    if (sha256Hex(line) !== hash) return fault("its text does not hash to its hash");
    let entry: Entry;
    try {
      entry = unseal(line, hash);
    } catch {
      return fault("is not JSON");
    }
    if (entry.seq !== seq) return fault(`says of itself that it is number ${entry.seq}`);
    if (entry.prevHash !== tip) return fault("does not continue the entry before it");
    const foreign = watch.step(seq, hash);
    if (foreign !== null) return fault(foreign);
    entries += 1;
    tip = hash;
  }
  const missing = watch.end(entries);
  return { entries, tip, fault: missing === null ? null : { seq: null, what: missing } };
}
