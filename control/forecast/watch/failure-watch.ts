import { type FallbackReason, isFault } from "../reasons.ts";

/** Services looked at in each answer: more of them say nothing more. */
const MAX_SAMPLED = 64;
/** Answers in a row: one may be the first of a large fleet, or of a busy machine. */
const MIN_TIMES = 2;

/** What of a model's answer is needed here. */
export interface Answered {
  index: { names: readonly string[] };
  reasonAt(place: number): FallbackReason | null;
}

/** Sees whether the model that steers answers at all: it may be loaded and well, and every answer of it refused. */
export class FailureWatch {
  #times = 0;
  #text: string | null = null;

  /** A sentence while it fails for more than half of the services, two answers in a row; else null. */
  get text(): string | null {
    return this.#times >= MIN_TIMES ? this.#text : null;
  }

  observe(answer: Answered): void {
    const { names } = answer.index;
    const every = Math.max(1, Math.ceil(names.length / MAX_SAMPLED));
    let looked = 0;
    const faults: FallbackReason[] = [];
    for (let place = 0; place < names.length; place += every) {
      looked++;
      const reason = answer.reasonAt(place);
      if (reason !== null && isFault(reason)) faults.push(reason);
    }
    if (faults.length * 2 <= looked) {
      this.clear();
      return;
    }
    this.#times++;
    const { code, text } = faults.at(-1)!;
    this.#text = `the model fails to answer for ${faults.length} of ${looked} services looked at (${code}: ${text})`;
  }

  clear(): void {
    this.#times = 0;
    this.#text = null;
  }
}
