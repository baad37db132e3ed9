import { BallastError } from "../../common/errors.ts";
import { digestHex } from "../../common/xxh64.ts";
import type { AuditReport } from "./audit.ts";
import { type ChainFault, type Entry, GENESIS, seal } from "./chain.ts";
import { type CheckpointState, stateAfter } from "./moves.ts";
import { sha256Hex, type TableRef } from "./record.ts";
import type { CheckpointStore, Head } from "./store.ts";

/** Entries read at a time. */
const PAGE = 100;
/** Tables remembered as sound, so that a long log does not read each again; a log names few different ones. */
const MAX_REMEMBERED = 10_000;

/**
 * Verifies a store through its own verbs, from the first entry: hashes and links, every move against the state machine, the
 * terms (which never fall), every table that a commit names against both its digests, the head against the log. For a store
 * that is a file, `auditVerify` also reads behind the verbs. Stops at the first fault: what follows a broken link proves
 * nothing. Throws STORE_UNREADABLE when the store cannot be read.
 */
export async function auditLog(store: CheckpointStore): Promise<AuditReport> {
  const head = await store.head();
  const walk = new LogWalk();
  const report = (faults: ChainFault[]): AuditReport => ({
    ok: faults.length === 0,
    entries: walk.entries,
    tip: walk.tip,
    tables: walk.sound.size,
    faults,
  });
  for (;;) {
    const page = await readPage(store, walk.entries + 1);
    if ("fault" in page) return report([page.fault]);
    for (const entry of page.entries) {
      const what = walk.step(entry) ?? (await walk.tables(store, entry));
      if (what !== null) return report([{ seq: walk.entries + 1, what }]);
      walk.entries += 1;
      walk.tip = entry.hash;
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
  return report([]);
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

class LogWalk {
  entries = 0;
  tip = GENESIS;
  readonly sound = new Set<string>();
  readonly #states = new Map<number, CheckpointState>();
  #reserved = 0;
  #committed = { epoch: 0, seq: 0 };
  #term = 0;

  /** What is wrong with the next entry, or null. */
  step(entry: Entry): string | null {
    const { hash, ...rest } = entry;
    if (seal(rest).hash !== hash) return "does not hash to its hash";
    if (entry.seq !== this.entries + 1) return `is missing: the next one has number ${entry.seq}`;
    if (entry.prevHash !== this.tip) return "does not continue the entry before it";
    if (entry.term < this.#term) return `has term ${entry.term}, after ${this.#term}`;
    this.#term = entry.term;
    const { body } = entry;
    if (body.kind === "reserve") {
      if (body.epoch <= this.#reserved) return `reserves epoch ${body.epoch} again`;
      this.#reserved = body.epoch;
    } else if (body.kind === "checkpoint") {
      const { state, record } = body.checkpoint;
      if (this.#states.has(body.epoch)) return `epoch ${body.epoch} is there already`;
      this.#states.set(body.epoch, state);
      if (state === "active") {
        if (record.parent !== this.#committed.epoch)
          return `epoch ${body.epoch} does not follow ${this.#committed.epoch}`;
        if (body.epoch <= this.#committed.epoch) return `epoch ${body.epoch} lies behind ${this.#committed.epoch}`;
        this.#committed = { epoch: body.epoch, seq: entry.seq };
      }
    } else if (body.kind === "move") {
      const { from, to, move } = body.move;
      if (this.#states.get(body.epoch) !== from || stateAfter(from, move) !== to) {
        return `moves epoch ${body.epoch} illegally`;
      }
      this.#states.set(body.epoch, to);
    }
    return null;
  }

  /** The tables that a commit names. */
  async tables(store: CheckpointStore, { body }: Entry): Promise<string | null> {
    if (body.kind !== "checkpoint" || body.checkpoint.state !== "active") return null;
    const key = (ref: TableRef) => `${ref.digest} ${ref.sha256}`;
    const unknown = body.checkpoint.record.tables.filter((ref) => !this.sound.has(key(ref)));
    if (unknown.length === 0) return null;
    try {
      const stored = await store.tables(unknown.map((ref) => BigInt(`0x${ref.digest}`)));
      const bySum = new Map([...stored.values()].map((table) => [digestHex(table.digest), table.bytes]));
      for (const ref of unknown) {
        const bytes = bySum.get(ref.digest);
        if (bytes === undefined) return `names the table ${ref.digest} of ${ref.service}, which is not stored`;
        if (sha256Hex(bytes) !== ref.sha256) return `the table ${ref.digest} of ${ref.service} has another SHA-256`;
        if (this.sound.size < MAX_REMEMBERED) this.sound.add(key(ref));
      }
    } catch (error) {
      if (error instanceof BallastError && error.code === "STORE_CORRUPT") return error.message;
      throw error;
    }
    return null;
  }

  /** Called at the entry that the head names as the last. */
  againstHead(head: Head): string | null {
    const { epoch, seq } = this.#committed;
    if (head.tip.hash !== this.tip) return `the head names another hash for entry ${head.tip.seq}`;
    if (head.epoch !== epoch || head.seq !== seq) {
      return `the head names epoch ${head.epoch} at entry ${head.seq}, the log ${epoch} at ${seq}`;
    }
    if (head.reservedEpoch !== this.#reserved) {
      return `the head says ${head.reservedEpoch} epochs are reserved, the log ${this.#reserved}`;
    }
    if (head.term < this.#term) return `the head has term ${head.term}, the log ${this.#term}`;
    return null;
  }
}
