import type { LoadHistory } from "../ingest/load-history.ts";

/**
 * Turns samples of live demand into one mean per completed step of the load history: all requests over all seconds.
 *
 * A step during which no sample came repeats the step before it (polls and steps may beat against each other when the planning
 * clock runs fast) up to `maxRepeats` steps; after that the gap stays a gap.
 */
export class DemandMeter {
  readonly #history: LoadHistory;
  readonly #maxRepeats: number;
  readonly #current = new Map<string, Step>();

  constructor(history: LoadHistory, options: { maxRepeats?: number } = {}) {
    this.#history = history;
    this.#maxRepeats = options.maxRepeats ?? 3;
  }

  /**
   * Requests per second of `service`, measured around planning time `nowMs` over `seconds` of real time; with 0 seconds
   * nothing was measured, and only the time is taken. Time must not run backwards.
   */
  sample(service: string, nowMs: number, rps: number, seconds = 1): void {
    const stepMs = this.#history.stepMs;
    const stepStartMs = Math.floor(nowMs / stepMs) * stepMs;
    const entry = this.#current.get(service);
    if (entry === undefined) {
      if (seconds > 0) {
        this.#current.set(service, { stepStartMs, sum: rps * seconds, seconds, last: rps, repeats: 0 });
      }
      return;
    }
    if (stepStartMs < entry.stepStartMs) return;
    this.#close(service, entry, stepStartMs);
    entry.sum += rps * seconds;
    entry.seconds += seconds;
  }

  /** Ends the steps before `nowMs` of every service: whoever forecasts at the turn of a step sees the one that has just ended. */
  advance(nowMs: number): void {
    const stepStartMs = Math.floor(nowMs / this.#history.stepMs) * this.#history.stepMs;
    for (const [service, entry] of this.#current) this.#close(service, entry, stepStartMs);
  }

  #close(service: string, entry: Step, stepStartMs: number): void {
    const { stepMs } = this.#history;
    while (entry.stepStartMs < stepStartMs) {
      if (entry.seconds > 0) {
        entry.last = entry.sum / entry.seconds;
        entry.repeats = 0;
        this.#history.append(service, entry.stepStartMs, entry.last);
      } else if (entry.repeats < this.#maxRepeats) {
        entry.repeats++;
        this.#history.append(service, entry.stepStartMs, entry.last);
      } else {
        entry.stepStartMs = stepStartMs - stepMs;
      }
      entry.stepStartMs += stepMs;
      entry.sum = 0;
      entry.seconds = 0;
    }
  }
}

/** The step that is being measured, and what it repeats when nothing is. */
interface Step {
  stepStartMs: number;
  sum: number;
  seconds: number;
  last: number;
  repeats: number;
}
