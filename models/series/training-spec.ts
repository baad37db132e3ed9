import { createHash, hash } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BallastError } from "../../common/errors.ts";
import { type FeatureStatistics, featureStatistics } from "../../control/features/feature-statistics.ts";
import type { FittedGroup } from "../../control/features/groups/grouped-inputs.ts";
import { signStatistics } from "../../control/features/series/load-signs.ts";
import {
  CONTEXT_CHANNELS,
  SEQUENCE_CHANNELS,
  SERIES_FEATURES,
  type SeriesShape,
  seriesSchemaHash,
  spansOf,
} from "../../control/features/series/shape.ts";
import {
  type ExampleOptions,
  findLeak,
  type InputSource,
  inputSource,
  SPLITS,
  type Split,
  type SplitSpans,
  splitSpans,
  type TrainingSeries,
  trainingExamples,
} from "../../control/features/series/training-examples.ts";
import { sourceDigest, sourcesIn } from "../lib/source-digest.ts";
import { ROW_ADDS, SplitWriter } from "./split-writer.ts";

/** How hard to search and train. `tiny` is for tests: it proves that the pipeline runs, not that a model is good. */
export interface TrainingEffort {
  /** Trials of the tuner; 0 = the defaults are taken. */
  trials: number;
  /** Boosting rounds and epochs that a trial may choose at most. */
  maxRounds: number;
  maxEpochs: number;
  /** Shares of the recurrent half in the forecast that are tried, ascending; the one with the least loss is taken. */
  blends: number[];
  /** Rows of the parity check between the trained halves and the exported file. */
  parityRows: number;
}

export const FULL_EFFORT: TrainingEffort = {
  trials: 6,
  maxRounds: 120,
  maxEpochs: 10,
  // What two different halves say together errs less. One share, not the one with the least loss: the calibration span of some ten windows
  // prefers 0.9, and the spans after it 0.1 to 0.5.
  blends: [0.3],
  parityRows: 10_000,
};
/** For one series in a backtest: the settings that were found on other series, without a search. */
export const BACKTEST_EFFORT: TrainingEffort = { ...FULL_EFFORT, trials: 0 };
/** A fixed share, so that both halves are in the exported file whatever they learnt. */
export const TINY_EFFORT: TrainingEffort = {
  trials: 1,
  maxRounds: 10,
  maxEpochs: 1,
  blends: [0.3],
  parityRows: 10_000,
};

export interface SpecInput {
  shape: SeriesShape;
  /** Ascending, 0.5 among them. */
  levels: readonly number[];
  /** Length of a step; without it the model cannot be asked by a server, which knows times. */
  stepMs?: number;
  series: readonly TrainingSeries[];
  options: ExampleOptions;
  effort: TrainingEffort;
  /** What inputs come from, by default the series' own past; GroupedSource adds groups, and a test puts a leaking source here. */
  source?: InputSource;
  /** What the manifest says of the groups of `source`. */
  groups?: readonly FittedGroup[];
  /** False leaves out the search for leaks, so that a test can show that the pipeline finds them too. Default true. */
  checked?: boolean;
}

/** The file that leads the Python side; every name and size that it needs, so that it computes no feature itself. */
export interface TrainingSpec {
  season: number;
  horizon: number;
  step_ms: number | null;
  levels: number[];
  schema_hash: string;
  /** Of the series' own inputs alone: a model with the same one and other groups can be asked with some of these columns. */
  base_schema_hash: string;
  features: string[];
  /** Feature groups beside the series' own past, with what was fitted of them. */
  groups: FittedGroup[];
  /** How many of `features`, the last ones, come from groups. */
  group_columns: number;
  /** −1, 0 or 1 per feature: the direction in which the trees may move with it. */
  monotone: number[];
  sequence: [number, number];
  context: [number, number];
  steps_per_origin: number;
  slices: string[];
  seed: number;
  effort: TrainingEffort;
  series: { name: string; steps: number; splits: Record<string, [number, number]> }[];
  examples: Record<string, number>;
  /** Of the training rows; a server that serves the model holds what it asks against it. */
  feature_statistics: FeatureStatistics;
  /** Of the loads themselves, over all of each series. */
  load_statistics: FeatureStatistics | null;
  /** Split and place of the examples that have a witness, in the order of the witness files. */
  witnesses: [string, number][];
  data_sha256: string;
  /** Names data, options, effort, code of the features and of the pipeline: what was trained under the same key is the same. */
  key: string;
}

/** Raised when the files change their form. */
const FILES_VERSION = 5;

/**
 * Writes `<dir>/examples/<split>/data.tfrecord` for the pipeline, `<dir>/rows/<split>.bin` for training without it, and
 * spec.json last. Files of an earlier run with the same key stay as they are, so that the pipeline can go on from them. Errors: TRAIN_HISTORY_TOO_SHORT, TRAIN_LEAK (an input changes with what comes later).
 */
export async function writeTrainingFiles(dir: string, input: SpecInput): Promise<TrainingSpec> {
  const { shape, levels, options, effort } = input;
  const source = input.source ?? inputSource(shape);
  const usable = input.series.flatMap((one) => {
    const spans = splitSpans(shape, one.values.length);
    return spans === null ? [] : [{ one, spans }];
  });
  const series = usable.map(({ one }) => one);
  if (usable.length === 0)
    throw new BallastError(
      "TRAIN_HISTORY_TOO_SHORT",
      `no series has enough steps for season ${shape.season} and horizon ${shape.horizon}`,
      {
        hint: "Two seasons, two horizons to learn from and 8 % (at least 1.5 horizons) each to calibrate and to judge are needed.",
      },
    );
  if (input.checked !== false)
    for (const { one, spans } of usable) {
      const leak = findLeak(shape, one, spans, source);
      if (leak !== null) throw new BallastError("TRAIN_LEAK", leak);
    }
  const schemaHash = source.schemaHash ?? seriesSchemaHash(shape);
  const columns = [...SERIES_FEATURES, ...(source.columns ?? [])];
  const key = keyOf(input, schemaHash, series);
  const earlier = await readFile(join(dir, "spec.json"), "utf8").catch(() => null);
  if (earlier !== null) {
    const spec = JSON.parse(earlier) as TrainingSpec;
    if (spec.key === key) return spec;
  }
  await rm(dir, { recursive: true, force: true });
  const written = await writeExamples(dir, usable, input, source, columns);
  const { near } = spansOf(shape);
  const spec: TrainingSpec = {
    season: shape.season,
    horizon: shape.horizon,
    step_ms: input.stepMs ?? null,
    levels: [...levels],
    schema_hash: schemaHash,
    base_schema_hash: seriesSchemaHash(shape),
    features: columns,
    groups: [...(input.groups ?? [])],
    group_columns: columns.length - SERIES_FEATURES.length,
    monotone: columns.map((name) => (/^family_|_level$|^aligned$/.test(name) ? 1 : 0)),
    sequence: [near, SEQUENCE_CHANNELS.length],
    context: [shape.horizon, CONTEXT_CHANNELS.length + columns.length - SERIES_FEATURES.length],
    steps_per_origin: Math.min(options.stepsPerOrigin, shape.horizon),
    slices: ["series", ...Object.keys(series[0]!.slices?.(0) ?? {}).sort()],
    seed: options.seed,
    effort,
    series: usable.map(({ one, spans }) => ({ name: one.name, steps: one.values.length, splits: { ...spans } })),
    ...written,
    feature_statistics: await statisticsOf(dir, columns),
    load_statistics: signStatistics(series, shape.season),
    data_sha256: digestOf(series),
    key,
  };
  await writeFile(join(dir, "spec.json.partial"), `${JSON.stringify(spec, null, 1)}\n`);
  await rename(join(dir, "spec.json.partial"), join(dir, "spec.json"));
  return spec;
}

/** The examples of each split, and their witnesses, into files. @returns how many and which, as the spec says it */
async function writeExamples(
  dir: string,
  usable: readonly { one: TrainingSeries; spans: SplitSpans }[],
  { shape, options }: SpecInput,
  source: InputSource,
  columns: readonly string[],
): Promise<Pick<TrainingSpec, "examples" | "witnesses">> {
  const examples: Record<string, number> = {};
  const witnesses: [Split, number][] = [];
  const writers = new Map<string, SplitWriter>();
  for (const split of SPLITS) {
    writers.set(split, await SplitWriter.open(dir, join("examples", split), split, columns));
    examples[split] = 0;
  }
  const witness = await SplitWriter.open(dir, "witness", "witness", columns);
  for (const [index, { one, spans }] of usable.entries()) {
    // A seed of its own per series, so that adding one leaves the others' examples as they are.
    const own = { ...options, seed: options.seed + 7919 * index };
    for (const example of trainingExamples(shape, one, spans, own, source)) {
      await writers.get(example.split)!.write(example);
      const place = examples[example.split]!++;
      if (example.witness === undefined) continue;
      await witness.write({ ...example, inputs: example.witness });
      witnesses.push([example.split, place]);
    }
  }
  for (const writer of [...writers.values(), witness]) await writer.close();
  return { examples, witnesses };
}

/** Rows that are counted: more say nothing more about a distribution. */
const MAX_COUNTED_ROWS = 50_000;
/** Follow from the clock alone: an hour of serving never looks like a year of training there. */
const CLOCK_COLUMNS = /^step$|^calendar_|^change_hours|^signal_.*_days$/;

/**
 * How the inputs are distributed on the held-out spans, which are the series as they are: the changed copies that training learns from are
 * wider than anything that is served, and against them an ordinary day looks like drift.
 */
async function statisticsOf(dir: string, columns: readonly string[]): Promise<FeatureStatistics> {
  const stride = columns.length + ROW_ADDS;
  const files = await Promise.all((["eval", "gate"] as const).map((split) => readFile(join(dir, `rows/${split}.bin`))));
  const bytes = new Uint8Array(files.reduce((sum, { length }) => sum + length, 0));
  bytes.set(files[0]!);
  bytes.set(files[1]!, files[0]!.length);
  const all = new Float32Array(bytes.buffer);
  const rows = all.length / stride;
  const every = Math.max(1, Math.ceil(rows / MAX_COUNTED_ROWS));
  const counted = new Float32Array(Math.ceil(rows / every) * stride);
  for (let row = 0; row < rows; row += every)
    counted.set(all.subarray(row * stride, (row + 1) * stride), (row / every) * stride);
  return featureStatistics(counted, stride, columns, new Set(columns.filter((name) => CLOCK_COLUMNS.test(name))));
}

/** Of the pipeline's own code, what it takes of `trees/`, and its packages: what other code trained is not taken for what this one would train. */
function pipelineDigest(): string {
  const models = join(import.meta.dirname, "..");
  const code = sourcesIn(join(models, "tfx/pipeline"), /\.py$/).map(({ name, path }) => ({
    name: join("pipeline", name),
    path,
  }));
  const more = ["trees/monotone.py", "trees/onnx_export.py", "tfx/requirements.lock"];
  return sourceDigest([...code, ...more.map((name) => ({ name, path: join(models, name) }))]);
}

function keyOf(
  { levels, stepMs, options, effort, source }: SpecInput,
  schemaHash: string,
  series: readonly TrainingSeries[],
): string {
  // The slices are functions; their values at a few steps stand for them.
  const slices = series.map(({ values, slices }) =>
    slices === undefined ? null : Array.from({ length: 64 }, (_, i) => slices(Math.floor((i * values.length) / 64))),
  );
  const content = [
    FILES_VERSION,
    schemaHash,
    levels,
    stepMs ?? null,
    options,
    effort,
    digestOf(series),
    slices,
    source?.dataDigest ?? null,
    pipelineDigest(),
  ];
  return hash("sha256", JSON.stringify(content));
}

function digestOf(series: readonly TrainingSeries[]): string {
  const all = createHash("sha256");
  for (const { name, values } of series) {
    all.update(JSON.stringify([name, values.length]));
    all.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  return all.digest("hex");
}
