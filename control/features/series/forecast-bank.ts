import { FamilyForecasts, type FamilyState } from "./family-forecasts.ts";
import type { Past } from "./past.ts";
import { CYCLE_FAMILIES, FAMILIES, MEMORY_HORIZONS, minPastSteps, type SeriesShape, spansOf } from "./shape.ts";

/** Forecasts per span whose errors are kept at most, one per horizon where that is fewer. */
const MAX_ORIGINS = 12;
/** Weight of an error at the far end of the span. */
const FADED = 0.5;
/** Weight of a family: (least loss / its loss) to this power. A family that is a tenth worse than the best has a fifth of its say. */
const SHARPNESS = 16;
/** Of the scale: keeps the ratio of losses finite where a family makes no error. */
const LEAST_LOSS = 1e-6;
/** Steps before an origin over which the errors of the families are remembered. */
export function bankMemorySteps(shape: SeriesShape): number {
  return Math.max(MEMORY_HORIZONS * shape.horizon, spansOf(shape).back);
}

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
  readonly #past: Past;
  readonly #memory: number;
  readonly #stride: number;
  readonly #families: FamilyForecasts;
  #state: FamilyState;
  /** By grid origin, [family × horizon]. */
  readonly #forecasts = new Map<number, Float64Array>();

  readonly #onlyRecent: boolean;

  /**
   * @param families of the same shape; may be shared by banks that are asked one after the other
   * @param onlyRecent forget what lies further back than the memory of the origin asked last: for origins that only rise
   */
  constructor(shape: SeriesShape, past: Past, families = new FamilyForecasts(shape), onlyRecent = false) {
    this.#families = families;
    this.#state = families.state();
    this.#onlyRecent = onlyRecent;
    this.#shape = shape;
    this.#past = past;
    this.#memory = bankMemorySteps(shape);
    this.#stride = Math.max(shape.horizon, Math.ceil(this.#memory / MAX_ORIGINS));
  }

  at(origin: number): BankAnswer {
    const { horizon, season } = this.#shape;
    this.#forget(origin);
    const losses = this.#losses(origin);
    const forecasts = this.#onGrid(origin)
      ? this.#forecastsAt(origin)
      : this.#families.at(this.#past, origin, this.#state);
    const families = FAMILIES.map((_, i) => forecasts.subarray(i * horizon, (i + 1) * horizon));
    const scale = this.#past.scale(origin);
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
    const { values } = this.#past;
    const sums = new Float64Array(FAMILIES.length);
    let total = 0;
    const earliest = Math.max(minPastSteps(this.#shape), origin - this.#memory);
    const newest = origin - 1 - this.#offGrid(origin - 1);
    // From the oldest on: what is kept between origins goes forward.
    const steps = Math.floor((newest - earliest) / this.#stride);
    for (let at = newest - steps * this.#stride; at <= newest; at += this.#stride) {
      const known = Math.min(horizon, origin - at);
      const weight = FADED ** ((origin - at) / this.#memory);
      const forecasts = this.#forecastsAt(at);
      for (let i = 0; i < sums.length; i++) {
        let sum = 0;
        for (let h = 0; h < known; h++) sum += Math.abs(forecasts[i * horizon + h]! - values[at + h]!);
        sums[i]! += weight * sum;
      }
      total += weight * known;
    }
    if (total > 0) for (let i = 0; i < sums.length; i++) sums[i]! /= total;
    return sums;
  }

  #forget(origin: number): void {
    const cutTo = this.#past.takeCut();
    const from = this.#onlyRecent ? origin - this.#memory : 0;
    if (cutTo === Number.POSITIVE_INFINITY && from <= 0) return;
    if (cutTo < Number.POSITIVE_INFINITY) this.#state = this.#families.state();
    for (const at of this.#forecasts.keys()) if (at > cutTo || at < from) this.#forecasts.delete(at);
  }

  #onGrid(origin: number): boolean {
    return this.#offGrid(origin) === 0 && origin >= minPastSteps(this.#shape);
  }

  /** Steps since the last grid origin. */
  #offGrid(origin: number): number {
    return (this.#past.firstStep + origin) % this.#stride;
  }

  /** Forecasts at a grid origin; those that are still running are compared as far as their steps are known. */
  #forecastsAt(origin: number): Float64Array {
    let forecasts = this.#forecasts.get(origin);
    if (forecasts === undefined) {
      forecasts = this.#families.at(this.#past, origin, this.#state);
      this.#forecasts.set(origin, forecasts);
    }
    return forecasts;
  }
}
