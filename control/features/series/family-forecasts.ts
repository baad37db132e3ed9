import { CycleForecasts, type CycleState } from "./cycle-forecasts.ts";
import type { Past } from "./past.ts";
import {
  CYCLE_FAMILIES,
  FAMILIES,
  FLAT_FAMILIES,
  type SeriesShape,
  SMOOTHING,
  SMOOTHING_SPANS,
  type Spans,
  spansOf,
  TREND,
} from "./shape.ts";
import { paddedKeeps, smoothSpan, weightTotals } from "./smoothing.ts";

export interface FamilyState {
  plain: CycleState;
  logs: CycleState;
}

/** Of the recent mean, that every recent value must exceed for logarithms to mean something. */
const LEAST_SHARE = 0.02;

const VARIANTS = [...new Set(CYCLE_FAMILIES.flatMap(({ plain, log }) => [...plain, ...log]))];
const CYCLE_PLAN = CYCLE_FAMILIES.map(({ name, plain, log }) => ({
  name,
  plain: plain.map((variant) => VARIANTS.indexOf(variant)),
  log: log.map((variant) => VARIANTS.indexOf(variant)),
}));
const ALPHAS = FLAT_FAMILIES.flatMap((name) => SMOOTHING[name]);
/** Members that a family has at most: the variants, both ways, and the last cycle. */
const MAX_MEMBERS = Math.max(...CYCLE_PLAN.map(({ plain, log }) => plain.length + log.length + 1), ALPHAS.length + 3);

/**
 * The forecasts of the bank's families for one shape: of each the median of its members, step by step. Pure, but for memory that is used
 * again from call to call.
 */
export class FamilyForecasts {
  readonly #shape: SeriesShape;
  readonly #spans: Spans;
  readonly #plain: CycleForecasts;
  readonly #logs: CycleForecasts;
  readonly #keeps = paddedKeeps(ALPHAS);
  readonly #smoothed = new Float64Array(this.#keeps.length);
  #smoothedOver = 0;
  #totals: Float64Array = new Float64Array(0);
  /** [member][step]. */
  readonly #members: Float64Array;
  readonly #order = new Int32Array(MAX_MEMBERS);
  readonly #sorted = new Float64Array(MAX_MEMBERS);

  constructor(shape: SeriesShape) {
    this.#shape = shape;
    this.#spans = spansOf(shape);
    this.#plain = new CycleForecasts(shape, VARIANTS);
    this.#logs = new CycleForecasts(shape, VARIANTS);
    this.#members = new Float64Array(MAX_MEMBERS * shape.horizon);
  }

  /** What is kept of a past between its origins, see `CycleState`. */
  state(): FamilyState {
    return { plain: this.#plain.state(), logs: this.#logs.state() };
  }

  /** One row of `horizon` steps per FAMILIES, of the steps of `past` before `origin`. Quickest where origins rise. */
  at(past: Past, origin: number, state: FamilyState): Float64Array {
    const { horizon, season } = this.#shape;
    const out = new Float64Array(FAMILIES.length * horizon);
    const flat = CYCLE_FAMILIES.length * horizon;
    this.#flat(past, origin, out, flat);
    if (season > 1) this.#cycles(past, origin, state, out);
    else for (let i = 0; i < CYCLE_FAMILIES.length; i++) out.copyWithin(i * horizon, flat, flat + horizon);
    return out;
  }

  #cycles(past: Past, origin: number, state: FamilyState, out: Float64Array): void {
    const { horizon, season } = this.#shape;
    const { values } = past;
    const newest = values[origin - 1]!;
    this.#plain.look(values, origin, past.scale(origin), state.plain);
    const positive = this.#isClearlyPositive(values, origin);
    if (positive) {
      this.#logs.look(past.logs, origin, past.logScale(origin), state.logs);
      this.#logs.exponentiate();
    }
    const members = this.#members;
    for (const [i, { name, plain, log }] of CYCLE_PLAN.entries()) {
      let n = 0;
      for (const variant of plain) this.#plain.forecast(variant, members, horizon * n++);
      // Logarithms of values at or below nought say nothing: the ratios become levels.
      if (positive) for (const variant of log) this.#logs.exponential(variant, members, horizon * n++);
      else for (const variant of log) this.#plain.forecast(variant, members, horizon * n++);
      if (name === "near_cycles") {
        for (let h = 0; h < horizon; h++)
          members[n * horizon + h] = values[origin + h - season * Math.ceil((h + 1) / season)]!;
        n++;
      }
      this.#median(n, newest, out, i * horizon);
    }
  }

  #flat(past: Past, origin: number, out: Float64Array, at: number): void {
    const { horizon } = this.#shape;
    const { back } = this.#spans;
    const { values } = past;
    const members = this.#members;
    const newest = values[origin - 1]!;
    const span = Math.min(origin, SMOOTHING_SPANS * back);
    if (span !== this.#smoothedOver) {
      this.#totals = weightTotals(this.#keeps, span);
      this.#smoothedOver = span;
    }
    smoothSpan(values, origin - span, origin, this.#keeps, this.#smoothed, 0);
    const near = Math.max(origin - span, origin - back);
    let smoothed = 0;
    for (const [i, name] of FLAT_FAMILIES.entries()) {
      let n = 0;
      const level = (value: number): void => {
        members.fill(value, n * horizon, (n + 1) * horizon);
        n++;
      };
      const line = (slope: number): void => {
        for (let h = 0; h < horizon; h++) members[n * horizon + h] = newest + slope * (h + 1);
        n++;
      };
      if (name === "flat") level(meanOf(values, Math.max(origin - span, origin - horizon), origin));
      if (name === "flat_slow") level(meanOf(values, origin - span, origin));
      if (name === "trend") {
        line((newest - values[0]!) / Math.max(1, origin - 1));
        line((newest - values[near]!) / Math.max(1, origin - near - 1));
        damped(values, near, origin, horizon, members, n++ * horizon);
      }
      for (let k = SMOOTHING[name].length; k > 0; k--) level(this.#smoothed[smoothed]! / this.#totals[smoothed++]!);
      this.#median(n, newest, out, at + i * horizon);
    }
  }

  #isClearlyPositive(values: ArrayLike<number>, origin: number): boolean {
    const from = Math.max(0, origin - 2 * this.#shape.season - this.#spans.back - this.#shape.horizon);
    let least = Number.POSITIVE_INFINITY;
    let sum = 0;
    for (let i = from; i < origin; i++) {
      const value = values[i]!;
      if (value < least) least = value;
      sum += value;
    }
    return least > LEAST_SHARE * (sum / (origin - from));
  }

  /** Of the first `n` members, step by step; what is not finite (an exponential that overflowed) counts as `otherwise`. */
  #median(n: number, otherwise: number, out: Float64Array, to: number): void {
    const { horizon } = this.#shape;
    const members = this.#members;
    const order = this.#order;
    const sorted = this.#sorted;
    const half = n >> 1;
    for (let i = 0; i < n; i++) order[i] = i * horizon;
    for (let h = 0; h < horizon; h++) {
      let greatest = Number.NEGATIVE_INFINITY;
      // Insertion sort of members and values: neighbouring steps are nearly in the same order.
      for (let i = 0; i < n; i++) {
        const one = order[i]!;
        const said = members[one + h]!;
        const value = said - said === 0 ? said : otherwise;
        if (value >= greatest) {
          sorted[i] = value;
          greatest = value;
          continue;
        }
        let at = i;
        for (; at > 0 && sorted[at - 1]! > value; at--) {
          sorted[at] = sorted[at - 1]!;
          order[at] = order[at - 1]!;
        }
        sorted[at] = value;
        order[at] = one;
      }
      out[to + h] = n % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
    }
  }
}

function meanOf(values: ArrayLike<number>, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += values[i]!;
  return sum / (to - from);
}

/** Holt's method with a damped trend and fixed parameters (FPP3 §8.2), continued from the end of a span. */
function damped(
  values: ArrayLike<number>,
  from: number,
  to: number,
  horizon: number,
  out: Float64Array,
  at: number,
): void {
  const { alpha, beta, phi } = TREND;
  let level = values[from]!;
  let trend = 0;
  for (let i = from + 1; i < to; i++) {
    const said = level + phi * trend;
    const next = said + alpha * (values[i]! - said);
    trend = beta * (next - level) + (1 - beta) * phi * trend;
    level = next;
  }
  let reach = 0;
  let power = 1;
  for (let h = 0; h < horizon; h++) {
    power *= phi;
    reach += power;
    out[at + h] = level + reach * trend;
  }
}
