import { Aligner } from "./alignment.ts";
import { AnchorBuilder } from "./bank/anchor.ts";
import { type BankAnswer, BankTools, ForecastBank } from "./bank/forecast-bank.ts";
import { Medians } from "./bank/medians.ts";
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

/** Where the inputs of an origin are written: at their place in matrices that may hold those of many, with wider rows. */
export interface InputRows {
  features: Float32Array;
  /** Place of the first number, and numbers from one row to the next. */
  featuresAt: number;
  featuresWidth: number;
  sequence: Float32Array;
  sequenceAt: number;
  context: Float32Array;
  contextAt: number;
  contextWidth: number;
  anchor: Float64Array;
  anchorAt: number;
  seasonalNaive: Float32Array;
}

/** Memory for the inputs of one origin alone, whose rows have `added` columns more. */
export function inputRows(shape: SeriesShape, added = 0): InputRows {
  const { horizon } = shape;
  const featuresWidth = SERIES_FEATURES.length + added;
  const contextWidth = CONTEXT_CHANNELS.length + added;
  return {
    features: new Float32Array(horizon * featuresWidth),
    featuresAt: 0,
    featuresWidth,
    sequence: new Float32Array(spansOf(shape).near * SEQUENCE_CHANNELS.length),
    sequenceAt: 0,
    context: new Float32Array(horizon * contextWidth),
    contextAt: 0,
    contextWidth,
    anchor: new Float64Array(horizon),
    anchorAt: 0,
    seasonalNaive: new Float32Array(horizon),
  };
}

/** The last cycle, the mean of three, the fading mean of all, and their median. */
const PROFILES = 4;
const MAX_FEATURE = 60;
const MAX_SEQUENCE = 8;
const PROFILE_DECAY = 0.7;

/** Inputs of the model at an origin: a pure function of the steps before it. */
export class SeriesFeatureBuilder {
  readonly shape: SeriesShape;
  readonly spans: Spans;
  /** What a bank learnt of a past is kept for the next origin of it. */
  readonly #banks = new WeakMap<Past, ForecastBank>();
  readonly #tools: BankTools;
  readonly #anchors: AnchorBuilder;
  readonly #aligner: Aligner;
  readonly #onlyRecent: boolean;
  /** Memory of one call of `fill`. */
  readonly #recent: Float64Array;
  /** Its rows are the past cycles. */
  readonly #medians: Medians;
  readonly #cycles: readonly Float64Array[];
  /** Of `#cycles`, the first ones: as many as there are. */
  readonly #firstCycles: readonly (readonly Float64Array[])[];
  readonly #profiles: readonly Float64Array[];
  readonly #rests: readonly Float64Array[];
  readonly #levels = new Float64Array(PROFILES);
  readonly #constants = new Float64Array(RESIDUAL_WINDOWS.length + FIRST_RESIDUAL_WINDOWS.length + 5);

  /** @param onlyRecent the origins of a past only rise: see ForecastBank */
  constructor(shape: SeriesShape, onlyRecent = false) {
    this.shape = shape;
    this.spans = spansOf(shape);
    this.#onlyRecent = onlyRecent;
    const { back, edge } = this.spans;
    const rows = (count: number, length: number) => Array.from({ length: count }, () => new Float64Array(length));
    this.#recent = new Float64Array(back);
    const length = back + shape.horizon + 2 * edge;
    const medians = new Medians(length, PROFILE_CYCLES);
    this.#medians = medians;
    this.#cycles = Array.from({ length: PROFILE_CYCLES }, (_, k) =>
      medians.rows.subarray(k * medians.stride, k * medians.stride + length),
    );
    this.#firstCycles = Array.from({ length: PROFILE_CYCLES + 1 }, (_, count) => this.#cycles.slice(0, count));
    this.#profiles = rows(PROFILES, length);
    this.#rests = rows(PROFILES, back);
    this.#tools = new BankTools(shape);
    this.#anchors = new AnchorBuilder(shape);
    this.#aligner = new Aligner(edge, shape.horizon);
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
    const rows = inputRows(this.shape);
    const scale = this.fill(past, origin, rows);
    const { features, sequence, context, anchor, seasonalNaive } = rows;
    return { features, sequence, context, anchor, scale, seasonalNaive };
  }

  /** The same, written where the caller wants it. @returns the scale */
  fill(past: Past, origin: number, rows: InputRows): number {
    if (origin < this.minPast || origin > past.length)
      throw new Error(`origin ${origin} is outside of ${this.minPast} … ${past.length}`);
    const { horizon } = this.shape;
    const { back, near, edge, stretch } = this.spans;
    const { values } = past;
    const scale = past.scale(origin);
    const base = this.#anchors.continuation(values, origin, scale, BASE_ANCHOR);
    const bank = this.#bankOf(past).at(origin);
    const { anchor, disagreement, families } = bank;
    const recent = this.#recent;
    for (let j = 0; j < back; j++) recent[j] = values[origin - back + j]!;
    const cycles = this.#loadCycles(values, origin);
    this.#makeProfiles(cycles);
    const profiles = this.#profiles;
    const rests = this.#rests;
    for (let p = 0; p < profiles.length; p++) {
      const profile = profiles[p]!;
      const rest = rests[p]!;
      for (let j = 0; j < back; j++) rest[j] = recent[j]! - profile[edge + j]!;
    }
    const fifth = profiles[2]!;
    const fifthRest = rests[2]!;
    /** Place of the origin in a profile. */
    const now = back + edge;
    const windowed = (window: number) => Math.max(1, Math.min(back, Math.round(window * stretch)));
    const short = windowed(12);
    const judged = windowed(36);
    const aligned = this.#aligner.align({
      recent,
      profile: fifth,
      now,
      horizon,
      edge,
      judged,
      levelled: short,
      scale,
    });

    // Constant over the horizon.
    const slopeAt = (step: number) =>
      fifth[now + Math.min(horizon + edge - 1, step + 3)]! - fifth[now + Math.max(-back - edge, step - 3)]!;
    const level = tailMean(recent, windowed(6));
    const three = windowed(3);
    const beforeThree = back - Math.min(back - three, 2 * three);
    const constants = this.#constants;
    let n = 0;
    constants[n++] = limited(slopeAt(-1) / scale);
    for (let k = 0; k < RESIDUAL_WINDOWS.length; k++)
      constants[n++] = limited(tailMean(fifthRest, windowed(RESIDUAL_WINDOWS[k]!)) / scale);
    for (let k = 0; k < FIRST_RESIDUAL_WINDOWS.length; k++)
      constants[n++] = limited(tailMean(rests[0]!, windowed(FIRST_RESIDUAL_WINDOWS[k]!)) / scale);
    constants[n++] = limited(meanStep(fifthRest, near) / scale);
    constants[n++] = limited(deviation(fifthRest, near) / scale);
    constants[n++] = limited(deviation(fifthRest, short) / scale);
    constants[n++] = limited((recent[back - 1]! - level) / scale);
    const trend = limited((tailMean(recent, three) - tailMean(recent, three, beforeThree)) / scale);
    const levels = this.#levels;
    for (let p = 0; p < rests.length; p++) levels[p] = tailMean(rests[p]!, short);
    const offset = limited(aligned.offset);
    const misfit = limited(aligned.misfit / scale);
    const misfitUnmoved = limited(aligned.misfitUnmoved / scale);
    const lossOf = limited(bank.loss);
    const leastLossOf = limited(bank.leastLoss);

    const { features, featuresWidth } = rows;
    for (let h = 0; h < horizon; h++) {
      const start = rows.featuresAt + h * featuresWidth;
      let i = start;
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
      for (let k = 0; k < n; k++) features[i++] = constants[k]!;
      features[i++] = limited((level - a) / scale);
      features[i++] = trend;
      features[i++] = limited((aligned.forecast[h]! - a) / scale);
      features[i++] = offset;
      features[i++] = misfit;
      features[i++] = misfitUnmoved;
      for (let f = h; f < families.length; f += horizon) features[i++] = limited((families[f]! - a) / scale);
      features[i++] = limited(disagreement[h]! / scale);
      features[i++] = lossOf;
      features[i++] = leastLossOf;
      if (i - start !== SERIES_FEATURES.length)
        throw new Error(`${i - start} columns were written, ${SERIES_FEATURES.length} are named`);
    }

    for (let h = 0; h < horizon; h++) {
      rows.anchor[rows.anchorAt + h] = anchor[h]!;
      rows.seasonalNaive[h] = (cycles[0]![now + h]! - anchor[h]!) / scale;
    }
    this.#fillSequence(base, level, scale, rows);
    fillContext(base, bank, level, scale, back, horizon, rows);
    return scale;
  }

  #bankOf(past: Past): ForecastBank {
    let bank = this.#banks.get(past);
    if (bank === undefined) {
      bank = new ForecastBank(this.shape, past, this.#tools, this.#onlyRecent);
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
    return this.#firstCycles[count]!;
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
    this.#medians.take(cycles.length, 0, middle, 0, middle.length);
  }

  #fillSequence(
    { profile, residual }: { profile: Float64Array; residual: Float64Array },
    level: number,
    scale: number,
    { sequence, sequenceAt }: InputRows,
  ): void {
    const { back, near } = this.spans;
    const recent = this.#recent;
    let i = sequenceAt;
    for (let j = back - near; j < back; j++) {
      sequence[i++] = clip(residual[j]! / scale);
      sequence[i++] = clip((recent[j]! - level) / scale / 10);
      sequence[i++] = clip((recent[j]! - recent[j - 1]!) / scale);
      sequence[i++] = clip((profile[j]! - profile[Math.max(0, j - 1)]!) / scale);
    }
  }
}

function fillContext(
  base: { profile: Float64Array; spread: Float64Array },
  { anchor, disagreement, loss, families }: BankAnswer,
  level: number,
  scale: number,
  back: number,
  horizon: number,
  { context, contextAt, contextWidth, seasonalNaive }: InputRows,
): void {
  for (let h = 0; h < horizon; h++) {
    let i = contextAt + h * contextWidth;
    context[i++] = (h + 1) / horizon;
    context[i++] = clip((base.profile[back + h]! - base.profile[back - 1]!) / scale / 10);
    context[i++] = clip((anchor[h]! - level) / scale / 10);
    context[i++] = clip(base.spread[h]! / scale);
    context[i++] = clip(disagreement[h]! / scale);
    context[i++] = clip(loss);
    context[i++] = clip(seasonalNaive[h]!);
    for (let f = h; f < families.length; f += horizon) context[i++] = clip((families[f]! - anchor[h]!) / scale);
  }
}

function limited(value: number): number {
  if (value >= -MAX_FEATURE && value <= MAX_FEATURE) return value;
  return Number.isFinite(value) ? Math.sign(value) * MAX_FEATURE : 0;
}

function clip(value: number): number {
  if (value >= -MAX_SEQUENCE && value <= MAX_SEQUENCE) return value;
  return Number.isFinite(value) ? Math.sign(value) * MAX_SEQUENCE : 0;
}

/** Of the last `count` values before `length`. */
function tailMean(values: Float64Array, count: number, length = values.length): number {
  const n = Math.min(count, length);
  let sum = 0;
  for (let i = length - n; i < length; i++) sum += values[i]!;
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
