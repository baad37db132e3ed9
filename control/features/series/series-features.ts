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
  readonly #onlyRecent: boolean;
  /** Memory of one call of `at`. */
  readonly #recent: Float64Array;
  readonly #cycles: readonly Float64Array[];
  readonly #profiles: readonly Float64Array[];
  readonly #rests: readonly Float64Array[];

  /** @param onlyRecent the origins of a past only rise: see ForecastBank */
  constructor(shape: SeriesShape, onlyRecent = false) {
    this.shape = shape;
    this.spans = spansOf(shape);
    this.#onlyRecent = onlyRecent;
    const { back, edge } = this.spans;
    const rows = (count: number, length: number) => Array.from({ length: count }, () => new Float64Array(length));
    this.#recent = new Float64Array(back);
    this.#cycles = rows(PROFILE_CYCLES, back + shape.horizon + 2 * edge);
    this.#profiles = rows(4, back + shape.horizon + 2 * edge);
    this.#rests = rows(4, back);
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
    const { values } = past;
    const scale = past.scale(origin);
    const base = new AnchorBuilder(this.shape, values, origin, scale).continuation(BASE_ANCHOR);
    const bank = this.#bankOf(past).at(origin);
    const { anchor, disagreement } = bank;
    const recent = this.#recent;
    for (let j = 0; j < back; j++) recent[j] = values[origin - back + j]!;
    const cycles = this.#loadCycles(values, origin);
    this.#makeProfiles(cycles);
    const profiles = this.#profiles;
    const rests = this.#rests;
    for (const [p, profile] of profiles.entries())
      for (let j = 0; j < back; j++) rests[p]![j] = recent[j]! - profile[edge + j]!;
    const fifth = profiles[2]!;
    const fifthRest = rests[2]!;
    /** Place of the origin in a profile. */
    const now = back + edge;
    const windowed = (window: number) => Math.max(1, Math.min(back, Math.round(window * stretch)));
    const short = windowed(12);
    const aligned = align({
      recent,
      profile: fifth,
      now,
      horizon,
      edge,
      judged: windowed(36),
      levelled: short,
      scale,
    });

    // Constant over the horizon.
    const slopeAt = (step: number) =>
      fifth[now + Math.min(horizon + edge - 1, step + 3)]! - fifth[now + Math.max(-back - edge, step - 3)]!;
    const level = tailMean(recent, windowed(6));
    const three = windowed(3);
    const before = recent.subarray(0, back - Math.min(back - three, 2 * three));
    const constants = [
      slopeAt(-1),
      ...RESIDUAL_WINDOWS.map((window) => tailMean(fifthRest, windowed(window))),
      ...FIRST_RESIDUAL_WINDOWS.map((window) => tailMean(rests[0]!, windowed(window))),
      meanStep(fifthRest, near),
      deviation(fifthRest, near),
      deviation(fifthRest, short),
      recent[back - 1]! - level,
    ].map((value) => limited(value / scale));
    const trend = limited((tailMean(recent, three) - tailMean(before, three)) / scale);
    const levels = rests.map((rest) => tailMean(rest, short));
    const ending = [aligned.offset, aligned.misfit / scale, aligned.misfitUnmoved / scale].map(limited);
    const lossOf = limited(bank.loss);
    const leastLossOf = limited(bank.leastLoss);

    const columns = SERIES_FEATURES.length;
    const features = new Float32Array(horizon * columns);
    let i = 0;
    for (let h = 0; h < horizon; h++) {
      const a = anchor[h]!;
      features[i++] = h + 1;
      for (let p = 0; p < profiles.length; p++) {
        const value = profiles[p]![now + h]!;
        features[i++] = limited((value - a) / scale);
        features[i++] = limited((value + levels[p]! - a) / scale);
      }
      features[i++] = limited((fifth[now + h]! - fifth[now - 1]!) / scale);
      features[i++] = limited(deviationAcross(cycles, now + h) / scale);
      features[i++] = limited(slopeAt(h) / scale);
      for (let k = 0; k < constants.length; k++) features[i++] = constants[k]!;
      features[i++] = limited((level - a) / scale);
      features[i++] = trend;
      features[i++] = limited((aligned.forecast[h]! - a) / scale);
      for (let k = 0; k < ending.length; k++) features[i++] = ending[k]!;
      for (let f = 0; f < bank.families.length; f++) features[i++] = limited((bank.families[f]![h]! - a) / scale);
      features[i++] = limited(disagreement[h]! / scale);
      features[i++] = lossOf;
      features[i++] = leastLossOf;
    }
    if (i !== features.length) throw new Error(`${i / horizon} columns were written, ${columns} are named`);

    const seasonalNaive = new Float32Array(horizon);
    for (let h = 0; h < horizon; h++) seasonalNaive[h] = (cycles[0]![now + h]! - anchor[h]!) / scale;
    return {
      features,
      sequence: this.#sequence(base, level, scale),
      context: contextOf(base, bank, seasonalNaive, level, scale, back, horizon),
      anchor,
      scale,
      seasonalNaive,
    };
  }

  #bankOf(past: Past): ForecastBank {
    let bank = this.#banks.get(past);
    if (bank === undefined) {
      bank = new ForecastBank(this.shape, past, this.#families, this.#onlyRecent);
      this.#banks.set(past, bank);
    }
    return bank;
  }

  /** The past cycles around the origin, each over [−back − edge, horizon + edge); at least one, at most PROFILE_CYCLES. */
  #loadCycles(values: Float64Array, origin: number): readonly Float64Array[] {
    const { season } = this.shape;
    const { back, edge } = this.spans;
    let count = 0;
    for (; count < PROFILE_CYCLES; count++) {
      const from = origin - lagOf(this.shape, count + 1) - back - edge;
      if (from < 0) break;
      const cycle = this.#cycles[count]!;
      for (let j = 0; j < cycle.length; j++) {
        let step = from + j;
        // Where the moved cycle reaches past the origin (horizon near the season), the step one season before stands in.
        while (step >= origin) step -= season;
        cycle[j] = values[step]!;
      }
    }
    return this.#cycles.slice(0, count);
  }

  /** Into #profiles: the last cycle, the mean of three, the mean of all with decaying weights, and their median. */
  #makeProfiles(cycles: readonly Float64Array[]): void {
    const [last, three, fading, middle] = this.#profiles as [Float64Array, Float64Array, Float64Array, Float64Array];
    const few = Math.min(3, cycles.length);
    const total = (1 - PROFILE_DECAY ** cycles.length) / (1 - PROFILE_DECAY);
    last.set(cycles[0]!);
    three.fill(0);
    fading.fill(0);
    for (let k = 0; k < cycles.length; k++) {
      const cycle = cycles[k]!;
      const weight = PROFILE_DECAY ** k / total;
      for (let i = 0; i < cycle.length; i++) fading[i]! += weight * cycle[i]!;
      if (k < few) for (let i = 0; i < cycle.length; i++) three[i]! += cycle[i]! / few;
    }
    median(cycles, middle);
  }

  #sequence(
    { profile, residual }: { profile: Float64Array; residual: Float64Array },
    level: number,
    scale: number,
  ): Float32Array {
    const { back, near } = this.spans;
    const recent = this.#recent;
    const sequence = new Float32Array(near * SEQUENCE_CHANNELS.length);
    let i = 0;
    for (let j = back - near; j < back; j++) {
      sequence[i++] = clip(residual[j]! / scale);
      sequence[i++] = clip((recent[j]! - level) / scale / 10);
      sequence[i++] = clip((recent[j]! - recent[j - 1]!) / scale);
      sequence[i++] = clip((profile[j]! - profile[Math.max(0, j - 1)]!) / scale);
    }
    return sequence;
  }
}

function contextOf(
  base: { profile: Float64Array; spread: Float64Array },
  { anchor, disagreement, loss, families }: BankAnswer,
  seasonalNaive: Float32Array,
  level: number,
  scale: number,
  back: number,
  horizon: number,
): Float32Array {
  const context = new Float32Array(horizon * CONTEXT_CHANNELS.length);
  let i = 0;
  for (let h = 0; h < horizon; h++) {
    context[i++] = (h + 1) / horizon;
    context[i++] = clip((base.profile[back + h]! - base.profile[back - 1]!) / scale / 10);
    context[i++] = clip((anchor[h]! - level) / scale / 10);
    context[i++] = clip(base.spread[h]! / scale);
    context[i++] = clip(disagreement[h]! / scale);
    context[i++] = clip(loss);
    context[i++] = clip(seasonalNaive[h]!);
    for (let f = 0; f < families.length; f++) context[i++] = clip((families[f]![h]! - anchor[h]!) / scale);
  }
  return context;
}

function limited(value: number): number {
  return Number.isFinite(value) ? Math.max(-MAX_FEATURE, Math.min(MAX_FEATURE, value)) : 0;
}

function clip(value: number): number {
  return Number.isFinite(value) ? Math.max(-MAX_SEQUENCE, Math.min(MAX_SEQUENCE, value)) : 0;
}

function tailMean(values: Float64Array, count: number): number {
  const n = Math.min(count, values.length);
  let sum = 0;
  for (let i = values.length - n; i < values.length; i++) sum += values[i]!;
  return sum / Math.max(1, n);
}

function deviation(values: Float64Array, count: number): number {
  const from = Math.max(0, values.length - count);
  const n = values.length - from;
  const center = tailMean(values, n);
  let squares = 0;
  for (let i = from; i < values.length; i++) squares += (values[i]! - center) ** 2;
  return Math.sqrt(squares / n);
}

/** Mean absolute step-to-step difference of the last `count` values. */
function meanStep(values: Float64Array, count: number): number {
  const from = Math.max(1, values.length - count + 1);
  let sum = 0;
  for (let i = from; i < values.length; i++) sum += Math.abs(values[i]! - values[i - 1]!);
  return sum / Math.max(1, values.length - from);
}

function deviationAcross(cycles: readonly Float64Array[], index: number): number {
  let sum = 0;
  for (let k = 0; k < cycles.length; k++) sum += cycles[k]![index]!;
  const center = sum / cycles.length;
  let squares = 0;
  for (let k = 0; k < cycles.length; k++) squares += (cycles[k]![index]! - center) ** 2;
  return Math.sqrt(squares / cycles.length);
}

function median(cycles: readonly Float64Array[], out: Float64Array): void {
  const n = cycles.length;
  const half = n >> 1;
  const sorted = new Float64Array(n);
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
}
