import { seededRandom } from "./random.ts";

/** XXH64 of a UTF-8 text with a seed, as the filter computes it. */
export type Hash64 = (text: string, seed: bigint) => bigint;

/** One live session per value of the hash's top ten bits. */
export const LIVE_SESSIONS = 1024;

/**
 * Keys of the live sessions: session i has i in the top ten bits of its hash, so that every slot of a 1,024-slot table (and every
 * share of a larger or smaller one) is watched by one session. Found by trying seeded keys; about 7,500 tries on average.
 */
export function liveSessionKeys(options: { fleet: string; seed: number; hash: Hash64 }): string[] {
  const { fleet, seed, hash } = options;
  const fleetSeed = hash(fleet, 0n);
  const keys: string[] = new Array(LIVE_SESSIONS);
  let missing = LIVE_SESSIONS;
  for (let attempt = 0; missing > 0; attempt++) {
    if (attempt > 1_000_000) throw new Error("the hash does not reach every slot");
    const key = `s${seed}-${attempt}`;
    const index = Number(hash(key, fleetSeed) >> 54n);
    if (keys[index] !== undefined) continue;
    keys[index] = key;
    missing--;
  }
  return keys;
}

/** Visits every session once per cycle, each cycle in a new seeded order. */
export class SessionCycle {
  readonly #random: () => number;
  readonly #order: Uint32Array;
  #next = 0;

  constructor(seed: number, sessions = LIVE_SESSIONS) {
    this.#random = seededRandom(seed);
    this.#order = Uint32Array.from({ length: sessions }, (_, i) => i);
    this.#shuffle();
  }

  next(): number {
    if (this.#next === this.#order.length) {
      this.#next = 0;
      this.#shuffle();
    }
    return this.#order[this.#next++]!;
  }

  #shuffle(): void {
    for (let i = this.#order.length - 1; i > 0; i--) {
      const j = Math.floor(this.#random() * (i + 1));
      const held = this.#order[i]!;
      this.#order[i] = this.#order[j]!;
      this.#order[j] = held;
    }
  }
}
