import { type AnchorVariant, lagOf, type SeriesShape, type Spans, spansOf } from "./shape.ts";

/** One continuation of a series at an origin. */
export interface Continuation {
  /** Weighted mean of the cycles over [−back, horizon) around the origin. */
  profile: Float64Array;
  /** Weighted standard deviation of the cycles over the horizon. */
  spread: Float64Array;
  /** `values − profile` over the last `back` steps. */
  residual: Float64Array;
  /** The forecast, `horizon` steps. */
  forecast: Float64Array;
}

/**
 * Computes continuations at one origin of one array (values or logarithms). It reads nothing at or behind the origin:
 * `lagOf` is never shorter than the horizon. Variants that differ only in how the residual fades share their profile.
 */
export class AnchorBuilder {
  readonly #shape: SeriesShape;
  readonly #spans: Spans;
  readonly #values: Float64Array;
  readonly #origin: number;
  readonly #scale: number;
  readonly #profiles = new Map<string, Omit<Continuation, "forecast">>();
  /** Misfits of the cycles by the span of the comparison. */
  readonly #misfits = new Map<number, Map<number, number>>();

  constructor(shape: SeriesShape, values: Float64Array, origin: number, scale: number) {
    this.#shape = shape;
    this.#spans = spansOf(shape);
    this.#values = values;
    this.#origin = origin;
    this.#scale = scale;
  }

  continuation(variant: AnchorVariant): Continuation {
    return { ...this.#shared(variant), forecast: this.forecast(variant) };
  }

  forecast(variant: AnchorVariant): Float64Array {
    const shared = this.#shared(variant);
    const { back, stretch } = this.#spans;
    const { horizon } = this.#shape;
    const level = smoothed(shared.residual, variant.alpha);
    const fade = variant.fade ** (1 / stretch);
    const forecast = new Float64Array(horizon);
    let factor = 1;
    for (let h = 0; h < horizon; h++) {
      factor *= fade;
      forecast[h] = shared.profile[back + h]! + level * factor;
    }
    return forecast;
  }

  #shared(variant: AnchorVariant): Omit<Continuation, "forecast"> {
    const key = `${variant.cycles} ${variant.decay} ${variant.tolerance} ${variant.compare}`;
    let shared = this.#profiles.get(key);
    if (shared === undefined) {
      shared = this.#profile(variant);
      this.#profiles.set(key, shared);
    }
    return shared;
  }

  #profile(variant: AnchorVariant): Omit<Continuation, "forecast"> {
    const { back } = this.#spans;
    const { horizon } = this.#shape;
    const origin = this.#origin;
    const values = this.#values;
    const compare = Math.min(variant.compare * this.#spans.near, origin - lagOf(this.#shape, 1));
    const reach = Math.max(compare, back);
    const starts: number[] = [];
    const misfits: number[] = [];
    const decays: number[] = [];
    for (let k = 1; k <= variant.cycles; k++) {
      const at = origin - lagOf(this.#shape, k);
      if (at < (k === 1 ? back : reach)) break;
      starts.push(at);
      decays.push(variant.decay ** (k - 1));
      misfits.push(variant.tolerance === Number.POSITIVE_INFINITY ? 0 : this.#misfit(at, compare));
    }
    const least = Math.min(...misfits);
    const weights = misfits.map((misfit, i) => decays[i]! * Math.exp(-(misfit - least) / variant.tolerance));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const profile = new Float64Array(back + horizon);
    const spread = new Float64Array(horizon);
    for (let i = 0; i < starts.length; i++) {
      const weight = weights[i]! / total;
      const start = starts[i]! - back;
      for (let j = 0; j < profile.length; j++) profile[j]! += weight * values[start + j]!;
    }
    for (let i = 0; i < starts.length; i++)
      for (let h = 0; h < horizon; h++)
        spread[h]! += (weights[i]! / total) * (values[starts[i]! + h]! - profile[back + h]!) ** 2;
    for (let h = 0; h < horizon; h++) spread[h] = Math.sqrt(spread[h]!);
    const residual = new Float64Array(back);
    for (let j = 0; j < back; j++) residual[j] = values[origin - back + j]! - profile[j]!;
    return { profile, spread, residual };
  }

  /** Mean absolute difference between the last `span` steps and those before `at`, in units of the scale. */
  #misfit(at: number, span: number): number {
    let known = this.#misfits.get(span);
    if (known === undefined) {
      known = new Map();
      this.#misfits.set(span, known);
    }
    let misfit = known.get(at);
    if (misfit === undefined) {
      misfit = this.#compared(at, span);
      known.set(at, misfit);
    }
    return misfit;
  }

  #compared(at: number, span: number): number {
    let sum = 0;
    for (let j = 1; j <= span; j++) sum += Math.abs(this.#values[this.#origin - j]! - this.#values[at - j]!);
    return sum / span / this.#scale;
  }
}

/** Exponentially smoothed end of a series, with weights that sum to 1 over its length. */
export function smoothed(series: ArrayLike<number>, alpha: number): number {
  let sum = 0;
  let total = 0;
  let weight = 1;
  for (let i = series.length - 1; i >= 0; i--) {
    sum += weight * series[i]!;
    total += weight;
    weight *= 1 - alpha;
  }
  return sum / total;
}
