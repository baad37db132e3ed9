/** One active epoch as far as sessions are concerned. */
export interface OwnerEpoch {
  epoch: number;
  /** Wall time of the activation, ms. */
  atMs: number;
  /** Target name per slot. */
  owners: readonly string[];
  /** Fewest slots that had to change owner over those that did: 1 when the table moved no slot in vain. */
  necessity: number;
}

export interface Moves {
  sessionsMoved: number;
  sessionsMinMoved: number;
  slotsMoved: number;
  slotsMinMoved: number;
}

interface Watched {
  slot: number;
  /** True for one session of each slot: the slot is observed through it. */
  speaksForSlot: boolean;
  target: string | null;
  sentMs: number;
  expected: string | null;
}

/**
 * Counts, for one service, how often a live session's answer came from another target than its answer before, and how often that
 * was necessary.
 *
 * Necessary: the session's slot had another owner, in the table active when the request was sent, than at its request before
 * (several epochs between two requests count as one change), times the necessity of the epoch that gave the slot its owner. An
 * activation reaches workers and server within milliseconds of each other, not at once: a request within `graceMs` of it may have
 * been served by either table, and is taken to have used the one that explains its answer.
 *
 * A session counts from its first steered answer on; before that Envoy's static weights know no sessions.
 */
export class Movement {
  readonly #sessions: Watched[];
  readonly #graceMs: number;
  /** Oldest first; an epoch is kept until every request that could have used it has long ended. */
  #epochs: OwnerEpoch[] = [];
  readonly moves: Moves = { sessionsMoved: 0, sessionsMinMoved: 0, slotsMoved: 0, slotsMinMoved: 0 };

  static readonly MAX_EPOCHS = 256;

  /** `slotOf[i]` is the slot of session i. */
  constructor(options: { slotOf: readonly number[]; graceMs?: number }) {
    this.#graceMs = options.graceMs ?? 250;
    const spoken = new Set<number>();
    this.#sessions = options.slotOf.map((slot) => {
      const speaksForSlot = !spoken.has(slot);
      spoken.add(slot);
      return { slot, speaksForSlot, target: null, sentMs: Number.NEGATIVE_INFINITY, expected: null };
    });
  }

  /** Epochs must come in order of activation. */
  activate(epoch: OwnerEpoch): void {
    this.#epochs.push(epoch);
    if (this.#epochs.length > Movement.MAX_EPOCHS) this.#epochs.shift();
  }

  /** An answer of `target` to `session`. Times are wall ms. */
  observe(answer: { session: number; target: string; steered: boolean; sentMs: number; answeredMs: number }): boolean {
    const watched = this.#sessions[answer.session];
    if (watched === undefined) throw new Error(`there is no session ${answer.session}`);
    if (watched.target === null && !answer.steered) return false;
    // Two requests of one session may overtake each other at the seam of two cycles: the earlier one says nothing new.
    if (answer.sentMs < watched.sentMs) return false;
    watched.sentMs = answer.sentMs;

    const moved = watched.target !== null && watched.target !== answer.target;
    watched.target = answer.target;
    if (moved) {
      this.moves.sessionsMoved++;
      if (watched.speaksForSlot) this.moves.slotsMoved++;
    }
    const used = this.#epochOf(watched.slot, answer);
    if (used < 0) return moved;
    const owner = this.#epochs[used]!.owners[watched.slot]!;
    if (watched.expected !== null && watched.expected !== owner) {
      const necessity = this.#necessityOf(watched.slot, used);
      this.moves.sessionsMinMoved += necessity;
      if (watched.speaksForSlot) this.moves.slotsMinMoved += necessity;
    }
    watched.expected = owner;
    return moved;
  }

  /** Index of the epoch that the answer was given under, −1 before the first. */
  #epochOf(slot: number, answer: { target: string; sentMs: number; answeredMs: number }): number {
    let atSend = -1;
    for (let i = this.#epochs.length - 1; i >= 0; i--) {
      const epoch = this.#epochs[i]!;
      if (epoch.atMs > answer.answeredMs + this.#graceMs) continue;
      if (epoch.owners[slot] === answer.target) return i;
      if (epoch.atMs <= answer.sentMs && atSend < 0) atSend = i;
      if (epoch.atMs <= answer.sentMs - this.#graceMs) break;
    }
    return atSend;
  }

  /** Necessity of the epoch that gave `slot` the owner it has in epoch `index`. */
  #necessityOf(slot: number, index: number): number {
    const owner = this.#epochs[index]!.owners[slot];
    while (index > 0 && this.#epochs[index - 1]!.owners[slot] === owner) index--;
    return this.#epochs[index]!.necessity;
  }
}
