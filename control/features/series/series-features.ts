import { align } from "./alignment.ts";
import { AnchorBuilder } from "./anchor.ts";
import { FamilyForecasts } from "./family-forecasts.ts";
import { type BankAnswer, ForecastBank } from "./forecast-bank.ts";
import type { Past } from "./past.ts";
import {
  BASE_ANCHOR,
  CONTEXT_CHANNELS,
  FIRST_RESIDUAL_WINDOWS,
  lagOf,
  minPastSteps,
  PROFILE_CYCLES,
  RESIDUAL_WINDOWS,
  SEQUENCE_CHANNELS,
  SERIES_FEATURES,
  type SeriesShape,
  type Spans,
  spansOf,
} from "./shape.ts";

/** Everything a series model sees at one origin, and what turns its answer into the series' own unit. */
export interface OriginInputs {
  /** [horizon × SERIES_FEATURES], row-major. */
  features: Float32Array;
  /** [near × SEQUENCE_CHANNELS]. */
  sequence: Float32Array;
  /** [horizon × CONTEXT_CHANNELS]. */
  context: Float32Array;
  /** The model says (value − anchor) / scale. */
  anchor: Float64Array;
  /** Mean absolute seasonal difference of the past, so an error in units of it is MASE. */
  scale: number;
  /** (seasonal naive − anchor) / scale per step: the baseline of the gate in the model's own units. */
  seasonalNaive: Float32Array;
}

const MAX_FEATURE = 60;
const MAX_SEQUENCE = 8;
const PROFILE_DECAY = 0.7;

/** Inputs of the model at an origin: a pure function of the steps before it. */
export class SeriesFeatureBuilder {
  readonly shape: SeriesShape;
  readonly spans: Spans;
  /** What a bank learnt of a past is kept for the next origin of it. */
  readonly #banks = new WeakMap<Past, ForecastBank>();
  readonly #families: FamilyForecasts;

  constructor(shape: SeriesShape) {
    this.shape = shape;
    this.spans = spansOf(shape);
    this.#families = new FamilyForecasts(shape);
  }

  /** Earliest origin that can be answered. */
  get minPast(): number {
    return minPastSteps(this.shape);
  }

  /**
   * @param past the series; only steps before `origin` are read, whatever follows
   * @param origin step that is forecast first, ≥ minPast
   */
  at(past: Past, origin: number): OriginInputs {
    if (origin < this.minPast || origin > past.length)
      throw new Error(`origin ${origin} is outside of ${this.minPast} … ${past.length}`);
    const { horizon } = this.shape;
    const { back, near, edge, stretch } = this.spans;
    const scale = past.scale(origin);
    const anchors = new AnchorBuilder(this.shape, past.values, origin, scale);
    const base = anchors.continuation(BASE_ANCHOR);
    const bank = this.#bankOf(past).at(origin);
    const { anchor, disagreement } = bank;
    const recent = past.values.subarray(origin - back, origin);
    const cycles = this.#cycles(past.values, origin);
    const at = (profile: Float64Array, step: number): number => profile[back + edge + step]!;
    const profiles = [cycles[0]!, mean(cycles.slice(0, 3)), decayed(cycles), median(cycles)];
    const fifth = profiles[2]!;
    const rest = (profile: Float64Array): Float64Array => {
      const out = new Float64Array(back);
      for (let j = 0; j < back; j++) out[j] = recent[j]! - profile[edge + j]!;
      return out;
    };
    const rests = profiles.map(rest);
    const windowed = (window: number) => Math.max(1, Math.min(back, Math.round(window * stretch)));
    const short = windowed(12);
    const aligned = align({
      recent,
      profile: (step) => at(fifth, step),
      horizon,
      edge,
      judged: windowed(36),
      levelled: short,
      scale,
    });

    // Constant over the horizon.
    const slopeAt = (step: number) =>
      at(fifth, Math.min(horizon + edge - 1, step + 3)) - at(fifth, Math.max(-back - edge, step - 3));
    const fifthRest = rests[2]!;
    const lastValue = recent[back - 1]!;
    const few = windowed(6);
    const level = tailMean(recent, few);
    const three = windowed(3);
    const once = {
      residuals: RESIDUAL_WINDOWS.map((window) => tailMean(fifthRest, windowed(window))),
      firstResiduals: FIRST_RESIDUAL_WINDOWS.map((window) => tailMean(rests[0]!, windowed(window))),
      noise: meanStep(fifthRest, near),
      long: deviation(fifthRest, near),
      short: deviation(fifthRest, short),
      last: lastValue - level,
      trend: tailMean(recent, three) - tailMean(recent.subarray(0, back - Math.min(back - three, 2 * three)), three),
      levels: rests.map((r) => tailMean(r, short)),
    };

    const columns = SERIES_FEATURES.length;
    const features = new Float32Array(horizon * columns);
    let i = 0;
    const put = (value: number): void => {
      features[i++] = Number.isFinite(value) ? Math.max(-MAX_FEATURE, Math.min(MAX_FEATURE, value)) : 0;
    };
    for (let h = 0; h < horizon; h++) {
      const a = anchor[h]!;
      features[i++] = h + 1;
      for (const [p, profile] of profiles.entries()) {
        put((at(profile, h) - a) / scale);
        put((at(profile, h) + once.levels[p]! - a) / scale);
      }
      put((at(fifth, h) - at(fifth, -1)) / scale);
      put(deviationAcross(cycles, back + edge + h) / scale);
      put(slopeAt(h) / scale);
      put(slopeAt(-1) / scale);
      for (const value of once.residuals) put(value / scale);
      for (const value of once.firstResiduals) put(value / scale);
      for (const value of [once.noise, once.long, once.short, once.last, level - a, once.trend]) put(value / scale);
      put((aligned.forecast[h]! - a) / scale);
      put(aligned.offset);
      put(aligned.misfit / scale);
      put(aligned.misfitUnmoved / scale);
      for (const forecast of bank.families) put((forecast[h]! - a) / scale);
      put(disagreement[h]! / scale);
      put(bank.loss);
      put(bank.leastLoss);
    }
    if (i !== features.length) throw new Error(`${i / horizon} columns were written, ${columns} are named`);

    const seasonalNaive = Float32Array.from(anchor, (a, h) => (at(cycles[0]!, h) - a) / scale);
    return {
      features,
      sequence: this.#sequence(past.values, origin, base, level, scale),
      context: contextOf(base, bank, seasonalNaive, level, scale, back, horizon),
      anchor,
      scale,
      seasonalNaive,
    };
  }

  #bankOf(past: Past): ForecastBank {
    let bank = this.#banks.get(past);
    if (bank === undefined) {
      bank = new ForecastBank(this.shape, past, this.#families);
      this.#banks.set(past, bank);
    }
    return bank;
  }

  /** The past cycles around the origin, each over [−back − edge, horizon + edge); at least one, at most PROFILE_CYCLES. */
  #cycles(values: Float64Array, origin: number): Float64Array[] {
    const { horizon, season } = this.shape;
    const { back, edge } = this.spans;
    const cycles: Float64Array[] = [];
    for (let k = 1; k <= PROFILE_CYCLES; k++) {
      const from = origin - lagOf(this.shape, k) - back - edge;
      if (from < 0) break;
      const length = back + horizon + 2 * edge;
      if (from + length <= origin) {
        cycles.push(values.subarray(from, from + length));
        continue;
      }
      // Where the moved cycle reaches past the origin (horizon near the season), the step one season before stands in.
      const cycle = new Float64Array(length);
      for (let j = 0; j < length; j++) {
        let step = from + j;
        while (step >= origin) step -= season;
        cycle[j] = values[step]!;
      }
      cycles.push(cycle);
    }
    return cycles;
  }

  #sequence(
    values: Float64Array,
    origin: number,
    base: { profile: Float64Array; residual: Float64Array },
    level: number,
    scale: number,
  ): Float32Array {
    const { back, near } = this.spans;
    const sequence = new Float32Array(near * SEQUENCE_CHANNELS.length);
    let i = 0;
    for (let j = back - near; j < back; j++) {
      const step = origin - back + j;
      const row = [
        base.residual[j]! / scale,
        (values[step]! - level) / scale / 10,
        (values[step]! - values[step - 1]!) / scale,
        (base.profile[j]! - base.profile[Math.max(0, j - 1)]!) / scale,
      ];
      for (const value of row) sequence[i++] = clip(value, MAX_SEQUENCE);
    }
    return sequence;
  }
}

function contextOf(
  base: { profile: Float64Array; spread: Float64Array },
  { anchor, disagreement, loss, families }: BankAnswer,
  seasonalNaive: ArrayLike<number>,
  level: number,
  scale: number,
  back: number,
  horizon: number,
): Float32Array {
  const context = new Float32Array(horizon * CONTEXT_CHANNELS.length);
  let i = 0;
  for (let h = 0; h < horizon; h++) {
    const row = [
      (h + 1) / horizon,
      (base.profile[back + h]! - base.profile[back - 1]!) / scale / 10,
      (anchor[h]! - level) / scale / 10,
      base.spread[h]! / scale,
      disagreement[h]! / scale,
      loss,
      seasonalNaive[h]!,
      ...families.map((family) => (family[h]! - anchor[h]!) / scale),
    ];
    for (const value of row) context[i++] = clip(value, MAX_SEQUENCE);
  }
  return context;
}

function clip(value: number, most: number): number {
  return Number.isFinite(value) ? Math.max(-most, Math.min(most, value)) : 0;
}

function tailMean(values: Float64Array, count: number): number {
  const n = Math.min(count, values.length);
  let sum = 0;
  for (let i = values.length - n; i < values.length; i++) sum += values[i]!;
  return sum / Math.max(1, n);
}

function deviation(values: Float64Array, count: number): number {
  const tail = values.subarray(Math.max(0, values.length - count));
  const center = tailMean(tail, tail.length);
  return Math.sqrt(tail.reduce((sum, value) => sum + (value - center) ** 2, 0) / tail.length);
}

/** Mean absolute step-to-step difference of the last `count` values. */
function meanStep(values: Float64Array, count: number): number {
  const from = Math.max(1, values.length - count + 1);
  let sum = 0;
  for (let i = from; i < values.length; i++) sum += Math.abs(values[i]! - values[i - 1]!);
  return sum / Math.max(1, values.length - from);
}

function deviationAcross(cycles: readonly Float64Array[], index: number): number {
  const center = cycles.reduce((sum, cycle) => sum + cycle[index]!, 0) / cycles.length;
  return Math.sqrt(cycles.reduce((sum, cycle) => sum + (cycle[index]! - center) ** 2, 0) / cycles.length);
}

function mean(cycles: readonly Float64Array[]): Float64Array {
  return weighted(
    cycles,
    cycles.map(() => 1 / cycles.length),
  );
}

function decayed(cycles: readonly Float64Array[]): Float64Array {
  const weights = cycles.map((_, k) => PROFILE_DECAY ** k);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weighted(
    cycles,
    weights.map((weight) => weight / total),
  );
}

function weighted(cycles: readonly Float64Array[], weights: readonly number[]): Float64Array {
  const out = new Float64Array(cycles[0]!.length);
  for (const [k, cycle] of cycles.entries()) {
    const weight = weights[k]!;
    for (let i = 0; i < out.length; i++) out[i]! += weight * cycle[i]!;
  }
  return out;
}

function median(cycles: readonly Float64Array[]): Float64Array {
  const n = cycles.length;
  const half = n >> 1;
  const sorted = new Float64Array(n);
  const out = new Float64Array(cycles[0]!.length);
  for (let i = 0; i < out.length; i++) {
    // Insertion into at most five places: a sort call costs more.
    for (let k = 0; k < n; k++) {
      const value = cycles[k]![i]!;
      let at = k;
      for (; at > 0 && sorted[at - 1]! > value; at--) sorted[at] = sorted[at - 1]!;
      sorted[at] = value;
    }
    out[i] = n % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
  }
  return out;
}
