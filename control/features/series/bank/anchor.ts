import { type AnchorVariant, lagOf, type SeriesShape, type Spans, spansOf } from "../shape.ts";

/** How a series goes on at an origin, but for its residual's part. */
export interface Continuation {
  /** Weighted mean of the cycles over [−back, horizon) around the origin. */
  profile: Float64Array;
  /** Weighted standard deviation of the cycles over the horizon. */
  spread: Float64Array;
  /** `values − profile` over the last `back` steps. */
  residual: Float64Array;
}

/**
 * Computes continuations of one array (values or logarithms) at an origin. It reads nothing at or behind the origin: `lagOf` is never
 * shorter than the horizon. `CycleForecasts` says what the bank's variants forecast, all at once.
 */
export class AnchorBuilder {
  readonly #shape: SeriesShape;
  readonly #spans: Spans;
  /** Overwritten by the next one. */
  readonly #continuation: Continuation;
  /** By cycle; longer when a variant has more. */
  #weights = new Float64Array(32);

  constructor(shape: SeriesShape) {
    this.#shape = shape;
    this.#spans = spansOf(shape);
    const { back } = this.#spans;
    this.#continuation = {
      profile: new Float64Array(back + shape.horizon),
      spread: new Float64Array(shape.horizon),
      residual: new Float64Array(back),
    };
  }

  /** @param scale the unit of misfits @returns memory that the next call uses again */
  continuation(values: Float64Array, origin: number, scale: number, variant: AnchorVariant): Continuation {
    const { back } = this.#spans;
    const { horizon } = this.#shape;
    const { profile, spread, residual } = this.#continuation;
    const count = this.#weigh(values, origin, scale, variant);
    const weights = this.#weights;
    profile.fill(0);
    for (let i = 0; i < count; i++) {
      const weight = weights[i]!;
      const start = origin - lagOf(this.#shape, i + 1) - back;
      for (let j = 0; j < profile.length; j++) profile[j]! += weight * values[start + j]!;
    }
    spread.fill(0);
    for (let i = 0; i < count; i++) {
      const start = origin - lagOf(this.#shape, i + 1);
      for (let h = 0; h < horizon; h++) {
        const rest = values[start + h]! - profile[back + h]!;
        spread[h]! += weights[i]! * (rest * rest);
      }
    }
    for (let h = 0; h < horizon; h++) spread[h] = Math.sqrt(spread[h]!);
    for (let j = 0; j < back; j++) residual[j] = values[origin - back + j]! - profile[j]!;
    return this.#continuation;
  }

  /** Into #weights, what each cycle counts for; they sum to 1. @returns how many there are */
  #weigh(values: Float64Array, origin: number, scale: number, variant: AnchorVariant): number {
    const { back, near } = this.#spans;
    const compare = Math.min(variant.compare * near, origin - lagOf(this.#shape, 1));
    const reach = Math.max(compare, back);
    if (variant.cycles > this.#weights.length) this.#weights = new Float64Array(variant.cycles);
    const weights = this.#weights;
    let least = Number.POSITIVE_INFINITY;
    let count = 0;
    for (; count < variant.cycles; count++) {
      const at = origin - lagOf(this.#shape, count + 1);
      if (at < (count === 0 ? back : reach)) break;
      const alike = variant.tolerance === Number.POSITIVE_INFINITY;
      const misfit = alike ? 0 : distance(values, origin, at, compare) / compare / scale;
      weights[count] = misfit;
      least = Math.min(least, misfit);
    }
    let total = 0;
    for (let i = 0; i < count; i++) {
      weights[i] = variant.decay ** i * Math.exp(-(weights[i]! - least) / variant.tolerance);
      total += weights[i]!;
    }
    for (let i = 0; i < count; i++) weights[i]! /= total;
    return count;
  }
}

/** Σ |difference| between the last `span` steps before an origin and those before `at`. */
function distance(values: Float64Array, origin: number, at: number, span: number): number {
  let sum = 0;
  for (let j = 1; j <= span; j++) sum += Math.abs(values[origin - j]! - values[at - j]!);
  return sum;
}
