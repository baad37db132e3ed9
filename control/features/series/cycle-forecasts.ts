import { type AnchorVariant, lagOf, type SeriesShape, type Spans, spansOf } from "./shape.ts";
import { paddedKeeps, smoothSpan, weightTotals } from "./smoothing.ts";

/** Variants that weigh the past cycles alike: they differ in what becomes of the residual. */
interface Weighting {
  cycles: number;
  decay: number;
  tolerance: number;
  compare: number;
}

/**
 * What `AnchorBuilder` forecasts, for many variants at one origin. A smoothed residual is linear in the values, so that its level is the
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

  /** [compare][cycle], in units of the scale. */
  readonly #misfits: readonly Float64Array[];
  readonly #usable: Int32Array;
  /** [0 = the series, k = cycle k][α]. */
  readonly #ends: Float64Array;
  readonly #weights: Float64Array;
  /** [weighting][step], and [weighting][α]. */
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
    this.#misfits = this.#compares.map(() => new Float64Array(most));
    this.#usable = new Int32Array(this.#compares.length);
    this.#ends = new Float64Array((most + 1) * this.#keeps.length);
    this.#weights = new Float64Array(most);
    this.#profiles = new Float64Array(weightings.length * horizon);
    this.#levels = new Float64Array(weightings.length * this.#keeps.length);
    this.#exponentials = new Float64Array(weightings.length * horizon);
  }

  /** Reads `values` before `origin`; `forecast` then answers for that origin. `scale` is the unit of misfits. */
  look(values: Float64Array, origin: number, scale: number): void {
    this.#compareCycles(values, origin, scale);
    const { back } = this.#spans;
    const width = this.#keeps.length;
    const cycles = this.#usable[0]!;
    smoothSpan(values, origin - back, origin, this.#keeps, this.#totals, this.#ends, 0);
    for (let k = 0; k < cycles; k++) {
      const at = origin - this.#lags[k]!;
      smoothSpan(values, at - back, at, this.#keeps, this.#totals, this.#ends, (k + 1) * width);
    }
    for (let w = 0; w < this.#weightings.length; w++) this.#combine(values, origin, w);
  }

  /** The forecast of a variant, `horizon` steps from `out[at]` on. */
  forecast(variant: number, out: Float64Array, at: number): void {
    const { horizon } = this.#shape;
    const { weighting, alpha, fade } = this.#plan[variant]!;
    const profile = weighting * horizon;
    const level = this.#levels[weighting * this.#keeps.length + alpha]!;
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
    const profile = weighting * horizon;
    const level = this.#levels[weighting * this.#keeps.length + alpha]!;
    if (fade === this.#kept) {
      const factor = Math.exp(level);
      for (let h = 0; h < horizon; h++) out[at + h] = this.#exponentials[profile + h]! * factor;
      return;
    }
    const factors = this.#fades[fade]!;
    for (let h = 0; h < horizon; h++) out[at + h] = this.#exponentials[profile + h]! * Math.exp(level * factors[h]!);
  }

  /** Mean absolute difference between the end of the series and that of each cycle, over each of the spans. */
  #compareCycles(values: Float64Array, origin: number, scale: number): void {
    const { back, near } = this.#spans;
    const lags = this.#lags;
    const room = origin - lags[0]!;
    let before = 0;
    for (let c = 0; c < this.#compares.length; c++) {
      const span = Math.min(this.#compares[c]! * near, room);
      const reach = Math.max(span, back);
      const misfits = this.#misfits[c]!;
      let usable = 0;
      for (let k = 0; k < lags.length; k++) {
        const at = origin - lags[k]!;
        if (at < (k === 0 ? back : reach)) break;
        // Sums of the shorter span before it are part of this one's: a longer reach has no more cycles than a shorter one.
        const sum = (c === 0 ? 0 : this.#misfits[c - 1]![k]!) + distance(values, origin, lags[k]!, before, span);
        misfits[k] = sum;
        usable++;
      }
      this.#usable[c] = usable;
      before = span;
    }
    // Sums to means, after the longer spans have built upon them.
    for (let c = 0; c < this.#compares.length; c++) {
      const unit = Math.min(this.#compares[c]! * near, room) * scale;
      const misfits = this.#misfits[c]!;
      for (let k = 0; k < this.#usable[c]!; k++) misfits[k]! /= unit;
    }
  }

  #combine(values: Float64Array, origin: number, w: number): void {
    const { cycles, decay, tolerance, compare } = this.#weightings[w]!;
    const { horizon } = this.#shape;
    const c = this.#compares.indexOf(compare);
    const misfits = this.#misfits[c]!;
    const count = Math.min(cycles, this.#usable[c]!);
    const weights = this.#weights;
    const flat = tolerance === Number.POSITIVE_INFINITY;
    let least = Number.POSITIVE_INFINITY;
    for (let k = 0; k < count; k++) if (misfits[k]! < least) least = misfits[k]!;
    let total = 0;
    let faded = 1;
    for (let k = 0; k < count; k++) {
      const weight = flat ? faded : faded * Math.exp((least - misfits[k]!) / tolerance);
      weights[k] = weight;
      total += weight;
      faded *= decay;
    }
    const width = this.#keeps.length;
    const levels = this.#levels;
    const profiles = this.#profiles;
    const ends = this.#ends;
    for (let i = 0; i < width; i++) levels[w * width + i] = ends[i]!;
    for (let h = 0; h < horizon; h++) profiles[w * horizon + h] = 0;
    for (let k = 0; k < count; k++) {
      const weight = weights[k]! / total;
      const from = origin - this.#lags[k]!;
      for (let h = 0; h < horizon; h++) profiles[w * horizon + h]! += weight * values[from + h]!;
      for (let i = 0; i < width; i++) levels[w * width + i]! -= weight * ends[(k + 1) * width + i]!;
    }
  }
}

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
