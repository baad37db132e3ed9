/** The week of load that the demo plays again: requests per second in steps, from a start that is a Monday or any other day. */
export interface Week {
  startMs: number;
  stepMs: number;
  /** 7 days of steps; a gap of the history is null. */
  rps: readonly (number | null)[];
}

/**
 * Requests per second at planning time `nowMs`: the same weekday and time of day in the recorded week, linear between the
 * middles of its steps. A gap counts as the value before it.
 */
export function rateAt(week: Week, nowMs: number): number {
  const steps = week.rps.length;
  if (steps === 0) return 0;
  const position = (nowMs - week.startMs) / week.stepMs - 0.5;
  const left = Math.floor(position);
  const weight = position - left;
  return valueAt(week, left) * (1 - weight) + valueAt(week, left + 1) * weight;
}

function valueAt(week: Week, step: number): number {
  const steps = week.rps.length;
  for (let back = 0; back < steps; back++) {
    const value = week.rps[(((step - back) % steps) + steps) % steps];
    if (value !== null && value !== undefined) return value;
  }
  return 0;
}

/** The last whole 7 days of a series, or all of it when it is shorter. */
export function lastWeek(series: { startMs: number; values: readonly number[] }, stepMs: number): Week {
  const steps = Math.min(series.values.length, Math.round((7 * 86_400_000) / stepMs));
  const from = series.values.length - steps;
  return {
    startMs: series.startMs + from * stepMs,
    stepMs,
    rps: series.values.slice(from).map((value) => (Number.isFinite(value) ? value : null)),
  };
}

/** Wall time over which a rate counts as constant. Fixed cells, so that the arrivals do not depend on when one asks for them. */
const CELL_MS = 100;

/**
 * Order of the Erlang gaps between arrivals. The demo's second stands for five minutes, in which the noise of single arrivals
 * averages out; with exponential gaps (order 1) a second would be noisy by 1/√rps, about 9 %, and the planner would chase it.
 */
const GAP_ORDER = 16;

/** Random arrivals at a rate that changes, by rescaling time: unit gaps are used up at the rate in force. */
export class Arrivals {
  readonly #random: () => number;
  readonly #rateAt: (wallMs: number) => number;
  #cellMs: number;
  #atMs: number;
  /** What is left of the gap to the next arrival, in units of its mean. */
  #gap: number;

  constructor(options: { startMs: number; random: () => number; rateAt: (wallMs: number) => number }) {
    this.#random = options.random;
    this.#rateAt = options.rateAt;
    this.#cellMs = options.startMs;
    this.#atMs = options.startMs;
    this.#gap = this.#drawGap();
  }

  /** Time of the next arrival if it is not after `untilMs`, else null. */
  next(untilMs: number): number | null {
    for (;;) {
      const perMs = this.#rateAt(this.#cellMs) / 1000;
      const cellEndMs = this.#cellMs + CELL_MS;
      const arrivalMs = perMs > 0 ? this.#atMs + this.#gap / perMs : Number.POSITIVE_INFINITY;
      if (arrivalMs < cellEndMs) {
        if (arrivalMs > untilMs) return null;
        this.#atMs = arrivalMs;
        this.#gap = this.#drawGap();
        return arrivalMs;
      }
      if (cellEndMs > untilMs) return null;
      this.#gap -= perMs * (cellEndMs - this.#atMs);
      this.#atMs = cellEndMs;
      this.#cellMs = cellEndMs;
    }
  }

  #drawGap(): number {
    // An Erlang gap of order k: the sum of k exponential ones, each with a k-th of the mean.
    let product = 1;
    for (let i = 0; i < GAP_ORDER; i++) product *= 1 - this.#random();
    return -Math.log(product) / GAP_ORDER;
  }
}
