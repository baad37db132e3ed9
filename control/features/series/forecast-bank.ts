import { AnchorBuilder, smoothed } from "./anchor.ts";
import type { Past } from "./past.ts";
import {
  CYCLE_FAMILIES,
  FAMILIES,
  FLAT_FAMILIES,
  MEMORY_HORIZONS,
  minPastSteps,
  type SeriesShape,
  SMOOTHING,
  SMOOTHING_SPANS,
  type Spans,
  spansOf,
  TREND,
} from "./shape.ts";

/** Forecasts per span whose errors are kept at most, one per horizon where that is fewer. */
const MAX_ORIGINS = 12;
/** Weight of an error at the far end of the span. */
const FADED = 0.5;
/** Weight of a family: (least loss / its loss) to this power. A family that is a tenth worse than the best has a fifth of its say. */
const SHARPNESS = 16;
/** Of the scale: keeps the ratio of losses finite where a family makes no error. */
const LEAST_LOSS = 1e-6;
/** Of the recent mean, that every recent value must exceed for logarithms to mean something. */
const LEAST_SHARE = 0.02;

/** What the bank says at one origin. Losses are mean absolute errors in units of the scale at that origin. */
export interface BankAnswer {
  /** Median of each family's members, step by step; one per FAMILIES, `horizon` steps each. */
  families: Float64Array[];
  /** One per family; they sum to 1. */
  weights: Float64Array;
  /** Weighted mean of the families. */
  anchor: Float64Array;
  /** Weighted mean distance of the families to the anchor, per step, in the unit of the series. */
  disagreement: Float64Array;
  /** Weighted mean and least recent loss; nought before any error is known. */
  loss: number;
  leastLoss: number;
}

/**
 * A bank of simple forecasts in families that err alike. Each family says the median of its members, and families are combined by what they
 * recently got wrong (inverse loss: Bates & Granger 1969, Stock & Watson 2004). Errors are known up to the step before the origin, also
 * of forecasts that are still running, and nothing later is read. They are kept on a fixed grid of origins, so that the answer depends
 * on the past alone, not on what was asked before.
 */
export class ForecastBank {
  readonly #shape: SeriesShape;
  readonly #spans: Spans;
  readonly #past: Past;
  readonly #memory: number;
  readonly #stride: number;
  /** Per grid origin: sums of absolute errors of the first n steps, [family × (horizon + 1)]. */
  readonly #errors = new Map<number, Float64Array>();

  constructor(shape: SeriesShape, past: Past) {
    this.#shape = shape;
    this.#spans = spansOf(shape);
    this.#past = past;
    this.#memory = Math.max(MEMORY_HORIZONS * shape.horizon, this.#spans.back);
    this.#stride = Math.max(shape.horizon, Math.ceil(this.#memory / MAX_ORIGINS));
  }

  at(origin: number): BankAnswer {
    const { horizon, season } = this.#shape;
    const families = this.#families(origin);
    const scale = this.#past.scale(origin);
    const losses = this.#losses(origin);
    // Without a season the cycles are the last steps, moved: of no use.
    const first = season > 1 ? 0 : CYCLE_FAMILIES.length;
    const least = Math.min(...losses.subarray(first));
    const floor = LEAST_LOSS * scale;
    const weights = losses.map((loss, i) => (i < first ? 0 : ((least + floor) / (loss + floor)) ** SHARPNESS));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let loss = 0;
    for (let i = first; i < weights.length; i++) {
      weights[i]! /= total;
      loss += weights[i]! * losses[i]!;
    }
    const anchor = new Float64Array(horizon);
    const disagreement = new Float64Array(horizon);
    for (let h = 0; h < horizon; h++) {
      let mean = 0;
      for (let i = first; i < weights.length; i++) mean += weights[i]! * families[i]![h]!;
      let distance = 0;
      for (let i = first; i < weights.length; i++) distance += weights[i]! * Math.abs(families[i]![h]! - mean);
      anchor[h] = mean;
      disagreement[h] = distance;
    }
    return { families, weights, anchor, disagreement, loss: loss / scale, leastLoss: least / scale };
  }

  /** Weighted mean absolute error of each family, in the unit of the series; all alike where none is known. */
  #losses(origin: number): Float64Array {
    const { horizon } = this.#shape;
    const sums = new Float64Array(FAMILIES.length);
    let total = 0;
    const earliest = Math.max(minPastSteps(this.#shape), origin - this.#memory);
    const newest = Math.floor((origin - 1) / this.#stride) * this.#stride;
    for (let at = newest; at >= earliest; at -= this.#stride) {
      const known = Math.min(horizon, origin - at);
      const weight = FADED ** ((origin - at) / this.#memory);
      const errors = this.#errorsAt(at);
      for (let i = 0; i < sums.length; i++) sums[i]! += weight * errors[i * (horizon + 1) + known]!;
      total += weight * known;
    }
    return total === 0 ? sums : sums.map((sum) => sum / total);
  }

  #errorsAt(origin: number): Float64Array {
    const known = this.#errors.get(origin);
    if (known !== undefined) return known;
    const { horizon } = this.#shape;
    const { values } = this.#past;
    const errors = new Float64Array(FAMILIES.length * (horizon + 1));
    for (const [i, forecast] of this.#families(origin).entries())
      for (let h = 0; h < horizon; h++) {
        const at = i * (horizon + 1) + h;
        // Steps behind the end of the past are never asked for: `known` in #losses ends before them.
        errors[at + 1] = errors[at]! + Math.abs(forecast[h]! - (values[origin + h] ?? Number.NaN));
      }
    this.#errors.set(origin, errors);
    return errors;
  }

  #families(origin: number): Float64Array[] {
    const { horizon, season } = this.#shape;
    const past = this.#past;
    const { values } = past;
    const flat = this.#flat(origin);
    if (season === 1) return [...CYCLE_FAMILIES.map(() => flat[0]!), ...flat];
    const plain = new AnchorBuilder(this.#shape, values, origin, past.scale(origin));
    const logs = this.#isClearlyPositive(origin)
      ? new AnchorBuilder(this.#shape, past.logs, origin, past.logScale(origin))
      : null;
    const families = CYCLE_FAMILIES.map((family) => {
      const members = family.plain.map((variant) => plain.forecast(variant));
      // Logarithms of values at or below nought say nothing: the ratios become levels.
      for (const variant of family.log)
        members.push(logs === null ? plain.forecast(variant) : logs.forecast(variant).map(Math.exp));
      if (family.name === "near_cycles")
        members.push(
          Float64Array.from({ length: horizon }, (_, h) => values[origin + h - season * Math.ceil((h + 1) / season)]!),
        );
      return medianOf(members, horizon, values[origin - 1]!);
    });
    return [...families, ...flat];
  }

  #flat(origin: number): Float64Array[] {
    const { horizon } = this.#shape;
    const { values } = this.#past;
    const newest = values[origin - 1]!;
    const span = Math.min(origin, SMOOTHING_SPANS * this.#spans.back);
    const recent = values.subarray(origin - span, origin);
    const near = recent.subarray(Math.max(0, span - this.#spans.back));
    const line = (slope: number) => Float64Array.from({ length: horizon }, (_, h) => newest + slope * (h + 1));
    const level = (value: number) => new Float64Array(horizon).fill(value);
    const more: Record<(typeof FLAT_FAMILIES)[number], Float64Array[]> = {
      flat_fast: [],
      flat: [level(meanOf(recent.subarray(Math.max(0, span - horizon))))],
      flat_slow: [level(meanOf(recent))],
      trend: [
        line((newest - values[0]!) / Math.max(1, origin - 1)),
        line((newest - near[0]!) / Math.max(1, near.length - 1)),
        damped(near, horizon),
      ],
    };
    return FLAT_FAMILIES.map((name) =>
      medianOf([...more[name], ...SMOOTHING[name].map((alpha) => level(smoothed(recent, alpha)))], horizon, newest),
    );
  }

  #isClearlyPositive(origin: number): boolean {
    const { values } = this.#past;
    const from = Math.max(0, origin - 2 * this.#shape.season - this.#spans.back - this.#shape.horizon);
    let least = Number.POSITIVE_INFINITY;
    let sum = 0;
    for (let i = from; i < origin; i++) {
      least = Math.min(least, values[i]!);
      sum += values[i]!;
    }
    return least > LEAST_SHARE * (sum / (origin - from));
  }
}

/** Step by step; what is not finite (an exponential that overflowed) counts as `otherwise`. */
function medianOf(members: readonly Float64Array[], horizon: number, otherwise: number): Float64Array {
  const n = members.length;
  const half = n >> 1;
  const order = Array.from(members);
  const sorted = new Float64Array(n);
  const out = new Float64Array(horizon);
  for (let h = 0; h < horizon; h++) {
    // Insertion sort of members and values: neighbouring steps are nearly in the same order.
    for (let i = 0; i < n; i++) {
      const one = order[i]!;
      const value = Number.isFinite(one[h]!) ? one[h]! : otherwise;
      let at = i;
      for (; at > 0 && sorted[at - 1]! > value; at--) {
        sorted[at] = sorted[at - 1]!;
        order[at] = order[at - 1]!;
      }
      sorted[at] = value;
      order[at] = one;
    }
    out[h] = n % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
  }
  return out;
}

function meanOf(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

/** Holt's method with a damped trend and fixed parameters (FPP3 §8.2), continued from the end of a span. */
function damped(span: Float64Array, horizon: number): Float64Array {
  const { alpha, beta, phi } = TREND;
  let level = span[0]!;
  let trend = 0;
  for (let i = 1; i < span.length; i++) {
    const said = level + phi * trend;
    const next = said + alpha * (span[i]! - said);
    trend = beta * (next - level) + (1 - beta) * phi * trend;
    level = next;
  }
  const out = new Float64Array(horizon);
  let reach = 0;
  let power = 1;
  for (let h = 0; h < horizon; h++) {
    power *= phi;
    reach += power;
    out[h] = level + reach * trend;
  }
  return out;
}
