/**
 * Shares the event loop with whatever else waits for it, between the pieces of a long piece of work:
 * `if (turns.isOver) await turns.next()`. Asking costs a look at the clock and no promise.
 */
export class LoopTurns {
  readonly #maxMs: number;
  #startedAt = performance.now();

  /** @param maxMs time after which a turn is over, milliseconds; the longest piece comes on top */
  constructor(maxMs = 5) {
    this.#maxMs = maxMs;
  }

  get isOver(): boolean {
    return performance.now() - this.#startedAt > this.#maxMs;
  }

  /** Resolves after all that is due, in a new turn. */
  async next(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#startedAt = performance.now();
  }
}
