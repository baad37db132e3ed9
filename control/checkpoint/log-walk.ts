import { type Entry, GENESIS, seal } from "./chain.ts";
import { type CheckpointState, stateAfter } from "./moves.ts";
import type { Head } from "./store.ts";

/**
 * A walk along a log from its first entry, pure: hashes, order and links, terms that never fall, epochs that are reserved and committed
 * once and in order, every move against the state machine. Behind an entry that was passed over, only what an entry shows by
 * itself is judged: its hash, its number, its link to a sound one before it.
 */
export class LogWalk {
  /** Sound entries from the first one on, without a gap, and the hash of the last of them. */
  entries = 0;
  tip = GENESIS;
  /** Number of the next entry. */
  next = 1;
  /** Hash of the entry before; null behind one that was passed over. */
  #before: string | null = GENESIS;
  readonly #states = new Map<number, CheckpointState>();
  #reserved = 0;
  #committed = { epoch: 0, seq: 0 };
  #term = 0;

  /** What is wrong with the next entry, or null: then the walk stands behind it. */
  step(entry: Entry): string | null {
    const { hash, ...rest } = entry;
    if (seal(rest).hash !== hash) return "does not hash to its hash";
    if (entry.seq !== this.next) return `is missing: the next one has number ${entry.seq}`;
    if (this.#before !== null && entry.prevHash !== this.#before) return "does not continue the entry before it";
    if (this.whole) {
      if (entry.term < this.#term) return `has term ${entry.term}, after ${this.#term}`;
      this.#term = entry.term;
      const what = this.#meaning(entry);
      if (what !== null) return what;
      this.entries += 1;
      this.tip = entry.hash;
    }
    this.next += 1;
    this.#before = entry.hash;
    return null;
  }

  /** No entry was passed over so far. */
  get whole(): boolean {
    return this.next === this.entries + 1;
  }

  /** Goes on behind entries that cannot be read or are not sound: the next one has this number. */
  passTo(next: number): void {
    this.next = next;
    this.#before = null;
  }

  #meaning(entry: Entry): string | null {
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
    } else if (body.kind !== "note") {
      return "is of no known kind";
    }
    return null;
  }

  /** Called at the entry that the head names as the last. */
  againstHead(head: Head): string | null {
    const { epoch, seq } = this.#committed;
    if (this.#before !== null && head.tip.hash !== this.#before)
      return `the head names another hash for entry ${head.tip.seq}`;
    if (!this.whole) return null;
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
