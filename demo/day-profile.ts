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

/**
 * Arrivals of a Poisson process whose rate changes: `next` returns the wall time of the arrival after the last one.
 * Gaps are drawn at the rate of their start, which is exact enough while the rate changes little within one gap.
 */
export class Arrivals {
  readonly #random: () => number;
  readonly #rateAt: (wallMs: number) => number;
  #atMs: number;

  constructor(options: { startMs: number; random: () => number; rateAt: (wallMs: number) => number }) {
    this.#atMs = options.startMs;
    this.#random = options.random;
    this.#rateAt = options.rateAt;
  }

  next(): number {
    // A service at rest is asked again a second later.
    const rps = this.#rateAt(this.#atMs);
    this.#atMs += rps > 1 ? (-Math.log(1 - this.#random()) / rps) * 1000 : 1000;
    return this.#atMs;
  }
}
