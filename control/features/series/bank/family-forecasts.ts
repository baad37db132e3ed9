import type { Past } from "../past.ts";
import {
  CYCLE_FAMILIES,
  FLAT_FAMILIES,
  type SeriesShape,
  SMOOTHING,
  SMOOTHING_SPANS,
  type Spans,
  spansOf,
  TREND,
} from "../shape.ts";
import { CycleForecasts, type CycleState } from "./cycle-forecasts.ts";
import { Medians } from "./medians.ts";
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
  /** Its rows are the members of the family at hand. */
  readonly #medians: Medians;

  constructor(shape: SeriesShape) {
    this.#shape = shape;
    this.#spans = spansOf(shape);
    this.#plain = new CycleForecasts(shape, VARIANTS);
    this.#logs = new CycleForecasts(shape, VARIANTS);
    this.#medians = new Medians(shape.horizon, MAX_MEMBERS);
  }

  /** What is kept of a past between its origins, see `CycleState`. */
  state(): FamilyState {
    return { plain: this.#plain.state(), logs: this.#logs.state() };
  }

  /** Into `out`, one row of `horizon` steps per FAMILIES, of the steps of `past` before `origin`. Quickest where origins rise. */
  at(past: Past, origin: number, state: FamilyState, out: Float64Array): void {
    const { horizon, season } = this.#shape;
    const flat = CYCLE_FAMILIES.length * horizon;
    this.#flat(past, origin, out, flat);
    if (season > 1) this.#cycles(past, origin, state, out);
    else for (let i = 0; i < CYCLE_FAMILIES.length; i++) out.copyWithin(i * horizon, flat, flat + horizon);
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
    const { rows, stride } = this.#medians;
    for (let i = 0; i < CYCLE_PLAN.length; i++) {
      const { name, plain, log } = CYCLE_PLAN[i]!;
      let n = 0;
      for (let k = 0; k < plain.length; k++) this.#plain.forecast(plain[k]!, rows, stride * n++);
      // Logarithms of values at or below nought say nothing: the ratios become levels.
      if (positive) for (let k = 0; k < log.length; k++) this.#logs.exponential(log[k]!, rows, stride * n++);
      else for (let k = 0; k < log.length; k++) this.#plain.forecast(log[k]!, rows, stride * n++);
      if (name === "near_cycles") {
        for (let h = 0; h < horizon; h++)
          rows[n * stride + h] = values[origin + h - season * Math.ceil((h + 1) / season)]!;
        n++;
      }
      this.#medians.take(n, newest, out, i * horizon, horizon);
    }
  }

  #flat(past: Past, origin: number, out: Float64Array, at: number): void {
    const { horizon } = this.#shape;
    const { back } = this.#spans;
    const { values } = past;
    const { rows, stride } = this.#medians;
    const newest = values[origin - 1]!;
    const span = Math.min(origin, SMOOTHING_SPANS * back);
    if (span !== this.#smoothedOver) {
      this.#totals = weightTotals(this.#keeps, span);
      this.#smoothedOver = span;
    }
    smoothSpan(values, origin - span, origin, this.#keeps, this.#smoothed, 0);
    const near = Math.max(origin - span, origin - back);
    let smoothed = 0;
    for (let i = 0; i < FLAT_FAMILIES.length; i++) {
      const name = FLAT_FAMILIES[i]!;
      let n = 0;
      if (name === "flat")
        level(rows, stride * n++, horizon, meanOf(values, Math.max(origin - span, origin - horizon), origin));
      if (name === "flat_slow") level(rows, stride * n++, horizon, meanOf(values, origin - span, origin));
      if (name === "trend") {
        line(rows, stride * n++, horizon, newest, (newest - values[0]!) / Math.max(1, origin - 1));
        line(rows, stride * n++, horizon, newest, (newest - values[near]!) / Math.max(1, origin - near - 1));
        damped(values, near, origin, horizon, rows, stride * n++);
      }
      for (let k = SMOOTHING[name].length; k > 0; k--)
        level(rows, stride * n++, horizon, this.#smoothed[smoothed]! / this.#totals[smoothed++]!);
      this.#medians.take(n, newest, out, at + i * horizon, horizon);
    }
  }

  #isClearlyPositive(values: Float64Array, origin: number): boolean {
    const from = Math.max(0, origin - 2 * this.#shape.season - this.#spans.back - this.#shape.horizon);
    let least = Number.POSITIVE_INFINITY;
    let even = 0;
    let odd = 0;
    let i = from;
    for (; i + 1 < origin; i += 2) {
      const value = values[i]!;
      const other = values[i + 1]!;
      if (value < least) least = value;
      if (other < least) least = other;
      even += value;
      odd += other;
    }
    if (i < origin) {
      if (values[i]! < least) least = values[i]!;
      even += values[i]!;
    }
    return least > LEAST_SHARE * ((even + odd) / (origin - from));
  }
}

function level(rows: Float64Array, at: number, horizon: number, value: number): void {
  for (let h = 0; h < horizon; h++) rows[at + h] = value;
}

function line(rows: Float64Array, at: number, horizon: number, newest: number, slope: number): void {
  for (let h = 0; h < horizon; h++) rows[at + h] = newest + slope * (h + 1);
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
