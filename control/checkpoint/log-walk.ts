import { type Entry, GENESIS, seal } from "./chain.ts";
import { type CheckpointState, stateAfter } from "./moves.ts";
import type { Head } from "./store.ts";

/**
 * A walk along a log from its first entry, pure: hashes, order and links, terms that never fall, epochs that are reserved and committed
 * once and in order, every move against the state machine.
 */
export class LogWalk {
  entries = 0;
  tip = GENESIS;
  readonly #states = new Map<number, CheckpointState>();
  #reserved = 0;
  #committed = { epoch: 0, seq: 0 };
  #term = 0;

  /** What is wrong with the next entry, or null: then the walk stands behind it. */
  step(entry: Entry): string | null {
    const { hash, ...rest } = entry;
    if (seal(rest).hash !== hash) return "does not hash to its hash";
    if (entry.seq !== this.entries + 1) return `is missing: the next one has number ${entry.seq}`;
    if (entry.prevHash !== this.tip) return "does not continue the entry before it";
    if (entry.term < this.#term) return `has term ${entry.term}, after ${this.#term}`;
    this.#term = entry.term;
    const what = this.#meaning(entry);
    if (what === null) {
      this.entries += 1;
      this.tip = entry.hash;
    }
    return what;
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
