import type { Past } from "../past.ts";
import { CYCLE_FAMILIES, FAMILIES, MEMORY_HORIZONS, minPastSteps, type SeriesShape, spansOf } from "../shape.ts";
import { FamilyForecasts, type FamilyState } from "./family-forecasts.ts";

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
  /** [family][step], `horizon` steps a row: the median of each family's members, step by step; one row per FAMILIES. */
  families: Float64Array;
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

/** Forecasts of the families at an origin of the grid. */
interface GridForecast {
  /** [family][step]. */
  said: Float64Array;
  /** Σ |error| per family over the steps that were known when it was asked for last; `complete`: over all of them. */
  errors: Float64Array;
  complete: boolean;
}

/** What the banks of one shape share: they are asked one after the other, and each has memory of its own only for what it keeps. */
export class BankTools {
  readonly families: FamilyForecasts;
  /** Weight of an error by its distance to the origin, steps. */
  readonly faded: Float64Array;
  readonly losses = new Float64Array(FAMILIES.length);
  /** Overwritten by the next answer. */
  readonly answer: BankAnswer;
  /** No bank needs them any more. */
  readonly spare: GridForecast[] = [];

  constructor(shape: SeriesShape) {
    const memory = bankMemorySteps(shape);
    this.families = new FamilyForecasts(shape);
    this.faded = Float64Array.from({ length: memory + 1 }, (_, distance) => FADED ** (distance / memory));
    this.answer = {
      families: new Float64Array(FAMILIES.length * shape.horizon),
      weights: new Float64Array(FAMILIES.length),
      anchor: new Float64Array(shape.horizon),
      disagreement: new Float64Array(shape.horizon),
      loss: 0,
      leastLoss: 0,
    };
  }
}

/** Grid forecasts that are held for the next bank at most: those of one past that was taken back. */
const MAX_SPARE = 64;

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
  readonly #tools: BankTools;
  #state: FamilyState;
  /** By grid origin. */
  readonly #grid = new Map<number, GridForecast>();

  readonly #onlyRecent: boolean;

  /**
   * @param tools of the same shape; may be shared by banks that are asked one after the other
   * @param onlyRecent forget what lies further back than the memory of the origin asked last: for origins that only rise
   */
  constructor(shape: SeriesShape, past: Past, tools = new BankTools(shape), onlyRecent = false) {
    this.#tools = tools;
    this.#state = tools.families.state();
    this.#onlyRecent = onlyRecent;
    this.#shape = shape;
    this.#past = past;
    this.#memory = bankMemorySteps(shape);
    this.#stride = Math.max(shape.horizon, Math.ceil(this.#memory / MAX_ORIGINS));
  }

  /** The answer's memory is used again at the next origin, also of another bank with the same tools. */
  at(origin: number): BankAnswer {
    const { horizon, season } = this.#shape;
    const { answer, losses } = this.#tools;
    const { families, weights, anchor, disagreement } = answer;
    this.#forget(origin);
    this.#judge(origin);
    if (this.#onGrid(origin)) families.set(this.#gridAt(origin).said);
    else this.#tools.families.at(this.#past, origin, this.#state, families);
    const scale = this.#past.scale(origin);
    // Without a season the cycles are the last steps, moved: of no use.
    const first = season > 1 ? 0 : CYCLE_FAMILIES.length;
    let least = Number.POSITIVE_INFINITY;
    for (let i = first; i < losses.length; i++) least = Math.min(least, losses[i]!);
    const floor = LEAST_LOSS * scale;
    let total = 0;
    for (let i = 0; i < weights.length; i++) {
      weights[i] = i < first ? 0 : ((least + floor) / (losses[i]! + floor)) ** SHARPNESS;
      total += weights[i]!;
    }
    let loss = 0;
    for (let i = first; i < weights.length; i++) {
      weights[i]! /= total;
      loss += weights[i]! * losses[i]!;
    }
    for (let h = 0; h < horizon; h++) {
      let mean = 0;
      for (let i = first; i < weights.length; i++) mean += weights[i]! * families[i * horizon + h]!;
      let distance = 0;
      for (let i = first; i < weights.length; i++)
        distance += weights[i]! * Math.abs(families[i * horizon + h]! - mean);
      anchor[h] = mean;
      disagreement[h] = distance;
    }
    answer.loss = loss / scale;
    answer.leastLoss = least / scale;
    return answer;
  }

  /** Into the shared losses, the weighted mean absolute error of each family, in the unit of the series; all alike where none is known. */
  #judge(origin: number): void {
    const { horizon } = this.#shape;
    const { losses: sums, faded } = this.#tools;
    sums.fill(0);
    let total = 0;
    const earliest = Math.max(minPastSteps(this.#shape), origin - this.#memory);
    const newest = origin - 1 - this.#offGrid(origin - 1);
    // From the oldest on: what is kept between origins goes forward.
    const steps = Math.floor((newest - earliest) / this.#stride);
    for (let at = newest - steps * this.#stride; at <= newest; at += this.#stride) {
      const known = Math.min(horizon, origin - at);
      const weight = faded[origin - at]!;
      const { errors } = this.#judged(at, known);
      for (let i = 0; i < sums.length; i++) sums[i]! += weight * errors[i]!;
      total += weight * known;
    }
    if (total > 0) for (let i = 0; i < sums.length; i++) sums[i]! /= total;
  }

  /** The forecast at a grid origin with its errors over the first `known` steps. */
  #judged(at: number, known: number): GridForecast {
    const { horizon } = this.#shape;
    const { values } = this.#past;
    const one = this.#gridAt(at);
    if (one.complete && known === horizon) return one;
    const { said, errors } = one;
    for (let i = 0; i < errors.length; i++) {
      let sum = 0;
      for (let h = 0; h < known; h++) sum += Math.abs(said[i * horizon + h]! - values[at + h]!);
      errors[i] = sum;
    }
    one.complete = known === horizon;
    return one;
  }

  #forget(origin: number): void {
    const cutTo = this.#past.takeCut();
    const from = this.#onlyRecent ? origin - this.#memory : 0;
    if (cutTo === Number.POSITIVE_INFINITY && from <= 0) return;
    if (cutTo < Number.POSITIVE_INFINITY) this.#state = this.#tools.families.state();
    const { spare } = this.#tools;
    for (const [at, one] of this.#grid) {
      if (at + this.#shape.horizon > cutTo) one.complete = false;
      if (at <= cutTo && at >= from) continue;
      this.#grid.delete(at);
      if (spare.length < MAX_SPARE) spare.push(one);
    }
  }

  #onGrid(origin: number): boolean {
    return this.#offGrid(origin) === 0 && origin >= minPastSteps(this.#shape);
  }

  /** Steps since the last grid origin. */
  #offGrid(origin: number): number {
    return (this.#past.firstStep + origin) % this.#stride;
  }

  /** Forecasts at a grid origin; those that are still running are compared as far as their steps are known. */
  #gridAt(origin: number): GridForecast {
    let one = this.#grid.get(origin);
    if (one === undefined) {
      one = this.#tools.spare.pop() ?? {
        said: new Float64Array(FAMILIES.length * this.#shape.horizon),
        errors: new Float64Array(FAMILIES.length),
        complete: false,
      };
      one.complete = false;
      this.#tools.families.at(this.#past, origin, this.#state, one.said);
      this.#grid.set(origin, one);
    }
    return one;
  }
}
