import { setTimeout as sleep } from "node:timers/promises";
import { isTransient, storeError } from "./nats-errors.ts";

/**
 * One try waits no longer than this for an answer, so that a lost one is asked again within the call. An entry of 14 MB took
 * 170 ms over three servers; trying again too early costs work, not correctness.
 */
export const MAX_TRY_MS = 1_000;
const FIRST_PAUSE_MS = 5;
const MAX_PAUSE_MS = 250;

/** The time that one call of the store has, however many tries it takes. */
export class Deadline {
  readonly #endMs: number;
  #pauseMs = FIRST_PAUSE_MS;

  constructor(timeoutMs: number) {
    this.#endMs = performance.now() + timeoutMs;
  }

  get over(): boolean {
    return performance.now() >= this.#endMs;
  }

  /** Patience for one try. */
  get tryMs(): number {
    return Math.max(1, Math.min(MAX_TRY_MS, this.#endMs - performance.now()));
  }

  /** Waits before the next try: longer each time, at random so that writers do not meet again, never past the end. */
  async pause(): Promise<void> {
    const left = Math.max(0, this.#endMs - performance.now());
    await sleep(Math.min(left, this.#pauseMs * (0.5 + Math.random())));
    this.#pauseMs = Math.min(this.#pauseMs * 2, MAX_PAUSE_MS);
  }

  /** Repeats work that may be done twice (a read, a creation) while its failures may pass. STORE_UNREADABLE at the end. */
  async retry<T>(where: string, work: () => Promise<T>, mayPass = isTransient): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!mayPass(error) || this.over) throw storeError(error, where);
      }
      await this.pause();
    }
  }
}
