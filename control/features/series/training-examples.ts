import { SeededRandom } from "../seeded-random.ts";
import { withLevelShifts } from "./augment.ts";
import { gapsFilled, Past } from "./past.ts";
import { type OriginInputs, SeriesFeatureBuilder } from "./series-features.ts";
import { lagOf, SERIES_FEATURES, type SeriesShape } from "./shape.ts";

/** A regular series to learn from. */
export interface TrainingSeries {
  name: string;
  /** NaN = no reading. */
  values: Float64Array;
  /** Slices of the evaluation that hold at a step, for example {weekday: "mon", change: "yes"}; constant names. */
  slices?: (step: number) => Record<string, string>;
}

/** train: fitted on. eval: tuned and calibrated on. gate: judged on, seen by nothing before the gate. In this order in time. */
export type Split = "train" | "eval" | "gate";
export const SPLITS: readonly Split[] = ["train", "eval", "gate"];

/** First and last step (exclusive) of a split; every target lies inside of its split's span. */
export type SplitSpans = Record<Split, [number, number]>;

export interface ExampleOptions {
  seed: number;
  /** Copies with injected shifts per series, in `train`. */
  copies: number;
  /** Origins drawn per copy. */
  originsPerCopy: number;
  /** Origins drawn per series in each of `eval` and `gate`. */
  originsPerHeldOut: number;
  /** Horizon steps drawn per origin, one from each equal part of the horizon. */
  stepsPerOrigin: number;
}

export const DEFAULT_EXAMPLES: ExampleOptions = {
  seed: 1,
  copies: 10,
  originsPerCopy: 800,
  originsPerHeldOut: 300,
  stepsPerOrigin: 8,
};

/** One origin of one series, as the training reads it: `steps` are the rows of `inputs.features` that were drawn. */
export interface TrainingExample {
  split: Split;
  series: string;
  origin: number;
  /** True for a series with injected shifts. */
  injected: boolean;
  slices: Record<string, string>;
  inputs: OriginInputs;
  /** For some held-out examples: the inputs again, from a series in which everything from the origin on was replaced. */
  witness?: OriginInputs;
  steps: number[];
  /** (value − anchor) / scale for every step of the horizon. */
  target: Float32Array;
}

/** One held-out example in so many has a witness. */
const WITNESS_EVERY = 8;

/** Share of the span held out for `eval`, and for `gate`, each at least one and a half horizons. */
export const HELD_OUT_SHARE = 0.08;
/** Shifts of a held-out copy begin at most so many horizons before its span. */
const STEPS_BEFORE = 5;

/** Where the splits of a series of `length` lie; null when too little remains to learn from. */
export function splitSpans(shape: SeriesShape, length: number): SplitSpans | null {
  const heldOut = Math.max(8, Math.ceil(1.5 * shape.horizon), Math.round(HELD_OUT_SHARE * length));
  const gateFrom = length - heldOut;
  const evalFrom = gateFrom - heldOut;
  const first = Math.max(new SeriesFeatureBuilder(shape).minPast, lagOf(shape, 2) + 1);
  if (evalFrom - first < 2 * shape.horizon + 8) return null;
  return { train: [first, evalFrom], eval: [evalFrom, gateFrom], gate: [gateFrom, length] };
}

/** Which series inputs are made of. */
export interface About {
  series: string;
  /** Asked by the search for leaks: everything else that is known only at this step or later is to be replaced too. */
  hiddenFrom?: number;
}

/** What makes inputs from a series; the product's is SeriesFeatureBuilder on `Past`. A test puts a leaking one here. */
export interface InputSource {
  /** Names of the columns that it adds behind SERIES_FEATURES and CONTEXT_CHANNELS. Default none. */
  readonly columns?: readonly string[];
  /** Default: the hash of the series' own schema. */
  readonly schemaHash?: string;
  /** Names whatever else it reads, so that training files made of other data are made anew. */
  readonly dataDigest?: string;
  /** Called once per series (or changed copy of it), with the steps that may be fitted on: nothing behind `fitTo`. */
  prepare(values: Float64Array, fitTo: number, about: About): { at(origin: number): OriginInputs };
}

export function inputSource(shape: SeriesShape): InputSource {
  const builder = new SeriesFeatureBuilder(shape);
  return {
    prepare: (values) => {
      const past = new Past(values, shape.season);
      return { at: (origin) => builder.at(past, origin) };
    },
  };
}

/**
 * Examples of one series, seeded: the same series, shape and options give the same examples in the same order. Half of the
 * held-out origins come from a copy with injected shifts, so that calibration knows them too.
 */
export function* trainingExamples(
  shape: SeriesShape,
  series: TrainingSeries,
  spans: SplitSpans,
  options: ExampleOptions,
  source: InputSource = inputSource(shape),
): Generator<TrainingExample> {
  const random = new SeededRandom(options.seed);
  const fitTo = spans.train[1];
  for (let copy = 0; copy < options.copies; copy++) {
    const values = withLevelShifts(gapsFilled(series.values.subarray(0, fitTo)), random);
    yield* draw("train", values, options.originsPerCopy, true);
  }
  for (const split of ["eval", "gate"] as const) {
    const real = series.values.subarray(0, spans[split][1]);
    const half = Math.ceil(options.originsPerHeldOut / 2);
    yield* draw(split, real, half, false);
    const shiftsFrom = Math.max(0, spans[split][0] - STEPS_BEFORE * shape.horizon);
    if (split === "eval") yield* draw(split, withLevelShifts(gapsFilled(real), random, shiftsFrom), half, true);
    else yield* draw(split, real, half, false);
  }

  function* draw(split: Split, values: Float64Array, count: number, injected: boolean): Generator<TrainingExample> {
    const prepared = source.prepare(values, fitTo, { series: series.name });
    const [from, to] = spans[split];
    const last = to - shape.horizon;
    for (let i = 0; i < count; i++) {
      const origin = random.integer(from, last);
      const inputs = prepared.at(origin);
      const target = Float32Array.from(inputs.anchor, (anchor, h) =>
        Math.fround((values[origin + h]! - anchor) / inputs.scale),
      );
      const steps = stratified(shape.horizon, options.stepsPerOrigin, random);
      // A target without a reading cannot be learnt from.
      if (!target.every(Number.isFinite)) continue;
      const slices = series.slices?.(origin) ?? {};
      const example = { split, series: series.name, origin, injected, slices, inputs, steps, target };
      if (split === "train" || i % WITNESS_EVERY !== 0) yield example;
      else {
        const other = source.prepare(scrambled(values, origin), fitTo, { series: series.name, hiddenFrom: origin });
        yield { ...example, witness: other.at(origin) };
      }
    }
  }
}

function stratified(horizon: number, count: number, random: SeededRandom): number[] {
  const n = Math.min(count, horizon);
  return Array.from({ length: n }, (_, i) =>
    random.integer(Math.floor((i * horizon) / n), Math.floor(((i + 1) * horizon) / n) - 1),
  );
}

/** A leak that was found, as one sentence. */
export type Leak = string;

/**
 * Judges an input source by what it does: inputs at a held-out origin must not change when everything from the origin on does, and
 * inputs at an origin of the training span must not change when everything behind that span does (a scaler fitted there would show).
 */
export function findLeak(
  shape: SeriesShape,
  series: TrainingSeries,
  spans: SplitSpans,
  source: InputSource = inputSource(shape),
): Leak | null {
  const [from, fitTo] = spans.train;
  const whole = source.prepare(series.values, fitTo, { series: series.name });
  const columns = [...SERIES_FEATURES, ...(source.columns ?? [])];
  const held = [fitTo, (fitTo + spans.gate[0]) >> 1, spans.gate[0], spans.gate[1] - shape.horizon];
  for (const origin of [from, (from + fitTo) >> 1, ...held]) {
    const replacedFrom = Math.max(origin, fitTo);
    const about = { series: series.name, hiddenFrom: replacedFrom };
    const other = source.prepare(scrambled(series.values, replacedFrom), fitTo, about);
    const column = firstDifference(whole.at(origin), other.at(origin), columns);
    if (column !== null)
      return `${column} of ${series.name} at step ${origin} changes with what was known only at step ${replacedFrom} or after it`;
  }
  return null;
}

function scrambled(values: Float64Array, from: number): Float64Array {
  let size = 1;
  for (let t = 0; t < from; t++) if (Number.isFinite(values[t])) size = Math.max(size, Math.abs(values[t]!));
  return values.map((value, i) => (i < from ? value : size * (3 + Math.sin(i))));
}

function firstDifference(a: OriginInputs, b: OriginInputs, columns: readonly string[]): string | null {
  for (let i = 0; i < a.features.length; i++)
    if (!Object.is(a.features[i], b.features[i])) return `feature ${columns[i % columns.length]}`;
  for (const part of ["sequence", "context", "anchor", "seasonalNaive"] as const)
    if (a[part].some((value, i) => !Object.is(value, b[part][i]))) return part;
  return Object.is(a.scale, b.scale) ? null : "scale";
}
