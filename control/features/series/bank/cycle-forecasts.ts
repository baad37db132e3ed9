import { type AnchorVariant, lagOf, type SeriesShape, type Spans, spansOf } from "../shape.ts";
import { paddedKeeps, smoothSpan, weightTotals } from "./smoothing.ts";

/** Variants that weigh the past cycles alike: they differ in what becomes of the residual. */
interface Weighting {
  cycles: number;
  decay: number;
  tolerance: number;
  compare: number;
}

/**
 * What is kept of one array between its origins: smoothed ends and compared sums go forward step by step from the last multiple of
 * REBASE_STEPS. An answer is the same to the bit whether they were kept or are computed anew from there.
 */
export interface CycleState {
  /** Where the sums stand; −1: nowhere. */
  origin: number;
  base: number;
  /** [0 = the series, k = cycle k][α], not divided by their weights. */
  ends: Float64Array;
  /** [compare][cycle], Σ |difference|. */
  sums: Float64Array;
}

/** Steps that sums are moved along at most before they are computed anew: rounding does not add up over more. */
const REBASE_STEPS = 64;

/**
 * Forecasts of many variants at one origin: each the profile of an `AnchorBuilder` and the smoothed residual, which fades. A smoothed residual is linear in the values, so that its level is the
 * smoothed end of the series minus the weighted smoothed ends of the cycles: nothing is computed per variant but those few products.
 * The memory is reused from call to call; one instance serves one array at a time.
 */
export class CycleForecasts {
  readonly #shape: SeriesShape;
  readonly #spans: Spans;
  readonly #lags: Int32Array;
  readonly #weightings: readonly Weighting[];
  /** Spans that cycles are compared over, in units of `near`. */
  readonly #compares: readonly number[];
  /** Per variant: its weighting, its α, and how its level fades over the horizon (a row of #fades). */
  readonly #plan: readonly { weighting: number; alpha: number; fade: number }[];
  readonly #keeps: Float64Array;
  readonly #totals: Float64Array;
  /** [fade][step]. */
  readonly #fades: readonly Float64Array[];
  readonly #kept: number;

  /** (1 − α) to the power of `back`. */
  readonly #lastKeeps: Float64Array;
  /** Per compare: its span and the cycles that can be compared over it. */
  readonly #compared: Int32Array;
  readonly #usable: Int32Array;
  /** Origin from which every span and every cycle is there. */
  readonly #fullFrom: number;
  /** [cycle][step], `#stride` numbers a row: what came after the same place in the past cycles. */
  readonly #windows: Float64Array;
  /** Steps, rounded up to whole groups of four. */
  readonly #stride: number;
  readonly #weights: Float64Array;
  readonly #active: Int32Array;
  /** [weighting][step], `#stride` numbers a row, and [weighting][α]. */
  readonly #profiles: Float64Array;
  readonly #levels: Float64Array;
  readonly #exponentials: Float64Array;

  constructor(shape: SeriesShape, variants: readonly AnchorVariant[]) {
    this.#shape = shape;
    this.#spans = spansOf(shape);
    const { horizon } = shape;
    const { back, stretch } = this.#spans;
    const weightings: Weighting[] = [];
    const alphas = [...new Set(variants.map(({ alpha }) => alpha))];
    const fades = [...new Set(variants.map(({ fade }) => fade))];
    this.#plan = variants.map(({ cycles, decay, tolerance, compare, alpha, fade }) => {
      const same = (one: Weighting): boolean =>
        one.cycles === cycles && one.decay === decay && one.tolerance === tolerance && one.compare === compare;
      let weighting = weightings.findIndex(same);
      if (weighting < 0) weighting = weightings.push({ cycles, decay, tolerance, compare }) - 1;
      return { weighting, alpha: alphas.indexOf(alpha), fade: fades.indexOf(fade) };
    });
    this.#weightings = weightings;
    this.#compares = [...new Set(weightings.map(({ compare }) => compare))].sort((a, b) => a - b);
    const most = Math.max(...weightings.map(({ cycles }) => cycles));
    this.#lags = Int32Array.from({ length: most }, (_, k) => lagOf(shape, k + 1));
    this.#keeps = paddedKeeps(alphas);
    this.#totals = weightTotals(this.#keeps, back);
    this.#kept = fades.indexOf(1);
    this.#fades = fades.map((fade) =>
      Float64Array.from({ length: horizon }, (_, h) => (fade ** (1 / stretch)) ** (h + 1)),
    );
    this.#lastKeeps = this.#keeps.map((keep) => keep ** back);
    this.#compared = new Int32Array(this.#compares.length);
    this.#usable = new Int32Array(this.#compares.length);
    this.#weights = new Float64Array(most);
    this.#active = new Int32Array(most);
    const { near } = this.#spans;
    this.#fullFrom = this.#lags[most - 1]! + Math.max(this.#compares.at(-1)! * near, back);
    this.#stride = 4 * Math.ceil(horizon / 4);
    this.#windows = new Float64Array(most * this.#stride);
    this.#profiles = new Float64Array(weightings.length * this.#stride);
    this.#levels = new Float64Array(weightings.length * this.#keeps.length);
    this.#exponentials = new Float64Array(weightings.length * this.#stride);
  }

  state(): CycleState {
    const cycles = this.#lags.length;
    return {
      origin: -1,
      base: -1,
      ends: new Float64Array((cycles + 1) * this.#keeps.length),
      sums: new Float64Array(this.#compares.length * cycles),
    };
  }

  /**
   * Reads `values` before `origin`; `forecast` then answers for that origin. `scale` is the unit of misfits.
   * @param state of this array; origins may come in any order, and rising ones cost least
   */
  look(values: Float64Array, origin: number, scale: number, state: CycleState): void {
    const base = this.#baseOf(origin);
    if (state.base !== base || state.origin > origin) {
      this.#reach(base);
      this.#start(values, base, state);
    }
    this.#reach(origin);
    for (; state.origin < origin; state.origin++) this.#advance(values, state.origin, state);
    this.#loadWindows(values, origin);
    for (let w = 0; w < this.#weightings.length; w++) this.#combine(scale, state, w);
  }

  /** The forecast of a variant, `horizon` steps from `out[at]` on. */
  forecast(variant: number, out: Float64Array, at: number): void {
    const { horizon } = this.#shape;
    const { weighting, alpha, fade } = this.#plan[variant]!;
    const profile = weighting * this.#stride;
    const level = this.#levels[weighting * this.#keeps.length + alpha]!;
    if (fade === this.#kept) {
      for (let h = 0; h < horizon; h++) out[at + h] = this.#profiles[profile + h]! + level;
      return;
    }
    const factors = this.#fades[fade]!;
    for (let h = 0; h < horizon; h++) out[at + h] = this.#profiles[profile + h]! + level * factors[h]!;
  }

  /** To be called before `exponential`, once after `look`. */
  exponentiate(): void {
    for (let i = 0; i < this.#profiles.length; i++) this.#exponentials[i] = Math.exp(this.#profiles[i]!);
  }

  /** e to the power of the forecast: of values whose logarithms were looked at. */
  exponential(variant: number, out: Float64Array, at: number): void {
    const { horizon } = this.#shape;
    const { weighting, alpha, fade } = this.#plan[variant]!;
    const profile = weighting * this.#stride;
    const level = this.#levels[weighting * this.#keeps.length + alpha]!;
    if (fade === this.#kept) {
      const factor = Math.exp(level);
      for (let h = 0; h < horizon; h++) out[at + h] = this.#exponentials[profile + h]! * factor;
      return;
    }
    const factors = this.#fades[fade]!;
    for (let h = 0; h < horizon; h++) out[at + h] = this.#exponentials[profile + h]! * Math.exp(level * factors[h]!);
  }

  /** Where sums that lead to `origin` are computed anew: the last multiple of REBASE_STEPS with the same spans and cycles. */
  #baseOf(origin: number): number {
    const base = origin - (origin % REBASE_STEPS);
    if (base >= this.#fullFrom) return base;
    if (base < this.#lags[0]! + this.#spans.back) return origin;
    for (let c = 0; c < this.#compares.length; c++) {
      const span = this.#spanAt(base, c);
      if (span !== this.#spanAt(origin, c)) return origin;
      if (this.#cyclesAt(base, span) !== this.#cyclesAt(origin, span)) return origin;
    }
    return base;
  }

  /** Steps that cycles are compared over at an origin. */
  #spanAt(origin: number, compare: number): number {
    return Math.min(this.#compares[compare]! * this.#spans.near, origin - this.#lags[0]!);
  }

  /** Cycles that can be compared over a span. */
  #cyclesAt(origin: number, span: number): number {
    const { back } = this.#spans;
    const lags = this.#lags;
    const reach = Math.max(span, back);
    let usable = 0;
    while (usable < lags.length && origin - lags[usable]! >= (usable === 0 ? back : reach)) usable++;
    return usable;
  }

  /** Sets the spans and the number of cycles that can be compared at an origin. A longer span has no more cycles than a shorter one. */
  #reach(origin: number): void {
    for (let c = 0; c < this.#compares.length; c++) {
      const span = this.#spanAt(origin, c);
      this.#compared[c] = span;
      this.#usable[c] = origin >= this.#fullFrom ? this.#lags.length : this.#cyclesAt(origin, span);
    }
  }

  #start(values: Float64Array, origin: number, state: CycleState): void {
    const { back } = this.#spans;
    const { ends, sums } = state;
    const width = this.#keeps.length;
    const cycles = this.#lags.length;
    smoothSpan(values, origin - back, origin, this.#keeps, ends, 0);
    for (let k = 0; k < this.#usable[0]!; k++) {
      const at = origin - this.#lags[k]!;
      smoothSpan(values, at - back, at, this.#keeps, ends, (k + 1) * width);
    }
    let before = 0;
    for (let c = 0; c < this.#compares.length; c++) {
      const span = this.#compared[c]!;
      for (let k = 0; k < this.#usable[c]!; k++) {
        // The shorter span before it is part of this one.
        const shorter = c === 0 ? 0 : sums[(c - 1) * cycles + k]!;
        sums[c * cycles + k] = shorter + distance(values, origin, this.#lags[k]!, before, span);
      }
      before = span;
    }
    state.origin = origin;
    state.base = origin;
  }

  /** From an origin to the one after it. */
  #advance(values: Float64Array, origin: number, { ends, sums }: CycleState): void {
    const { back } = this.#spans;
    const keeps = this.#keeps;
    const lasts = this.#lastKeeps;
    const lags = this.#lags;
    const width = keeps.length;
    const cycles = this.#usable[0]!;
    for (let k = 0; k <= cycles; k++) {
      const at = k === 0 ? origin : origin - lags[k - 1]!;
      const comes = values[at]!;
      const goes = values[at - back]!;
      for (let i = 0, e = k * width; i < width; i++, e++) ends[e] = comes + keeps[i]! * ends[e]! - lasts[i]! * goes;
    }
    for (let c = 0; c < this.#compares.length; c++) {
      const first = origin - this.#compared[c]!;
      const comes = values[origin]!;
      const goes = values[first]!;
      for (let k = 0, e = c * lags.length; k < this.#usable[c]!; k++, e++) {
        const lag = lags[k]!;
        sums[e]! += Math.abs(comes - values[origin - lag]!) - Math.abs(goes - values[first - lag]!);
      }
    }
  }

  /** Copied once for all weightings, which read them up to thirteen times: the past itself lies all over the memory. */
  #loadWindows(values: Float64Array, origin: number): void {
    const { horizon } = this.#shape;
    const windows = this.#windows;
    const stride = this.#stride;
    for (let k = 0; k < this.#usable[0]!; k++) {
      const from = origin - this.#lags[k]!;
      const to = k * stride;
      for (let h = 0; h < horizon; h++) windows[to + h] = values[from + h]!;
    }
  }

  /** The profile and the levels of a weighting. Four sums side by side, each in the order of the cycles: one alone would wait for itself. */
  #combine(scale: number, { ends, sums }: CycleState, w: number): void {
    const weights = this.#weights;
    const cycles = this.#active;
    const active = this.#weigh(scale, sums, w);
    const width = this.#keeps.length;
    const levels = this.#levels;
    const totals = this.#totals;
    for (let i = 0; i < width; i += 4) {
      let s0 = ends[i]!;
      let s1 = ends[i + 1]!;
      let s2 = ends[i + 2]!;
      let s3 = ends[i + 3]!;
      for (let a = 0; a < active; a++) {
        const weight = weights[a]!;
        const e = (cycles[a]! + 1) * width + i;
        s0 -= weight * ends[e]!;
        s1 -= weight * ends[e + 1]!;
        s2 -= weight * ends[e + 2]!;
        s3 -= weight * ends[e + 3]!;
      }
      const to = w * width + i;
      levels[to] = s0 / totals[i]!;
      levels[to + 1] = s1 / totals[i + 1]!;
      levels[to + 2] = s2 / totals[i + 2]!;
      levels[to + 3] = s3 / totals[i + 3]!;
    }
    const stride = this.#stride;
    const windows = this.#windows;
    const profiles = this.#profiles;
    for (let h = 0; h < stride; h += 4) {
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let a = 0; a < active; a++) {
        const weight = weights[a]!;
        const from = cycles[a]! * stride + h;
        s0 += weight * windows[from]!;
        s1 += weight * windows[from + 1]!;
        s2 += weight * windows[from + 2]!;
        s3 += weight * windows[from + 3]!;
      }
      const to = w * stride + h;
      profiles[to] = s0;
      profiles[to + 1] = s1;
      profiles[to + 2] = s2;
      profiles[to + 3] = s3;
    }
  }

  /** Into #weights and #active, the weights of the cycles that count and which they are. @returns their number */
  #weigh(scale: number, sums: Float64Array, w: number): number {
    const { cycles, decay, tolerance, compare } = this.#weightings[w]!;
    const c = this.#compares.indexOf(compare);
    const first = c * this.#lags.length;
    const count = Math.min(cycles, this.#usable[c]!);
    const weights = this.#weights;
    let total = 0;
    if (tolerance === Number.POSITIVE_INFINITY) {
      for (let k = 0, faded = 1; k < count; k++, faded *= decay) {
        weights[k] = faded;
        total += faded;
      }
    } else {
      let least = Number.POSITIVE_INFINITY;
      for (let k = 0; k < count; k++) if (sums[first + k]! < least) least = sums[first + k]!;
      // A misfit is the mean difference in units of the scale.
      const unit = this.#compared[c]! * scale * tolerance;
      for (let k = 0, faded = 1; k < count; k++, faded *= decay) {
        const weight = faded * Math.exp((least - sums[first + k]!) / unit);
        weights[k] = weight;
        total += weight;
      }
    }
    const active = this.#active;
    let n = 0;
    for (let k = 0; k < count; k++) {
      const weight = weights[k]! / total;
      if (weight < LEAST_WEIGHT) continue;
      weights[n] = weight;
      active[n++] = k;
    }
    return n;
  }
}

/** Of a cycle: what it would add is lost in the last digits, and with a sharp tolerance most cycles are below it. */
const LEAST_WEIGHT = 1e-14;

/** Σ |x_{origin−j} − x_{origin−lag−j}| for j above `from` up to `to`. Two sums side by side: one would wait for itself. */
function distance(values: Float64Array, origin: number, lag: number, from: number, to: number): number {
  let even = 0;
  let odd = 0;
  let i = origin - to;
  const end = origin - from;
  for (; i + 1 < end; i += 2) {
    even += Math.abs(values[i]! - values[i - lag]!);
    odd += Math.abs(values[i + 1]! - values[i + 1 - lag]!);
  }
  if (i < end) even += Math.abs(values[i]! - values[i - lag]!);
  return even + odd;
}
