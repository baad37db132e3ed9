import { createHash, hash } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BallastError } from "../../common/errors.ts";
import type { Series } from "../../control/features/augment.ts";
import { ANCHOR_COLUMN } from "../../control/features/feature-builder.ts";
import {
  FEATURE_STEP_MS,
  FEATURES,
  HORIZON_STEPS,
  RISING_FEATURES,
  SCHEMA_HASH,
  STEPS_PER_DAY,
} from "../../control/features/schema.ts";
import { buildTrainingRows, inputStatistics } from "../../control/features/training-rows.ts";
import { type BacktestResult, backtest } from "../../control/forecast/backtest.ts";
import { baselinesBeaten, type Manifest, whyRefused } from "../../control/forecast/demand-manifest.ts";
import { DEFAULT_LEVELS, openForecaster } from "../../control/forecast/forecaster.ts";
import { MANIFEST_FILE } from "../../control/forecast/model-file.ts";
import type { LoadHistory } from "../../control/ingest/load-history.ts";
import { codeVersion } from "../lib/source-digest.ts";
import { runLines, treesDir } from "./environment.ts";
import { modelCard } from "./model-card.ts";

export interface TrainOptions {
  history: LoadHistory;
  /** Folder for the result; files of an earlier result are replaced. */
  outDir: string;
  /** Folder for intermediate files, removed afterwards. */
  workDir: string;
  /** Interpreter of the training environment. */
  python: string;
  seed: number;
  progress: (text: string) => void;
}

export interface TrainResult {
  manifest: Manifest;
  /** Why a server would refuse the model by its manifest, as one sentence; null when it would not. */
  refusal: string | null;
}

/** The last week is never trained on: the backtest runs there. */
const HELD_OUT_MS = 7 * 86_400_000;
/** Two weeks of lags and one to learn from them. */
const MIN_TRAINING_DAYS = 21;
/** Small on purpose: under 1 MB and a few microseconds a row; deeper or more trees gained nothing on the held-out week. */
const TREES = { rounds: 60, depth: 5, eta: 0.12 };

interface TrainingSummary {
  rows: number;
  trees: number;
  nodes: number;
  parity_rows: number;
  parity_max_abs_diff: number;
  gain: Record<string, number>;
  versions: Record<string, string>;
}

/**
 * Trains on all but the last week of the history, exports, scores the exported file on the last week in the engine and
 * the code that serve it, and writes demand.onnx, manifest.json, parity.json and MODEL_CARD.md.
 * The manifest is written last, so an interrupted run leaves no folder that would be served.
 * Errors: TRAIN_HISTORY_TOO_SHORT, TRAIN_FAILED. A model that beats no baseline is written all the same and says so.
 */
export async function trainModel(options: TrainOptions): Promise<TrainResult> {
  const { history, outDir, workDir, python, seed, progress } = options;
  const span = commonSpan(history);
  const trainToMs = span.endMs - HELD_OUT_MS;
  const series = trainingSeries(history, span.startMs, trainToMs);

  progress(
    `training on ${series.length} services, ${day(span.startMs)} to ${day(trainToMs)}; the week after it is held out`,
  );
  const training = buildTrainingRows(series, { seed });
  if (training.rows === 0)
    throw new BallastError("TRAIN_HISTORY_TOO_SHORT", "no step of the history has enough past to learn from");
  await rm(workDir, { recursive: true, force: true });
  await mkdir(workDir, { recursive: true });
  await mkdir(outDir, { recursive: true });
  const spec = {
    columns: training.columns,
    anchor: ANCHOR_COLUMN,
    monotone: FEATURES.map(({ name }) => Number(RISING_FEATURES.has(name))),
    levels: DEFAULT_LEVELS,
    seed,
    schema_hash: SCHEMA_HASH,
    ...TREES,
  };
  await writeFile(join(workDir, "rows.bin"), training.data);
  await writeFile(join(workDir, "spec.json"), JSON.stringify(spec));
  const files = ["--rows", join(workDir, "rows.bin"), "--spec", join(workDir, "spec.json"), "--out", workDir];
  await runLines(python, [join(treesDir, "train.py"), ...files], (line) => {
    if (line.startsWith("progress ")) progress(line.slice("progress ".length));
  }).catch((cause) => {
    throw BallastError.from(cause, "TRAIN_FAILED");
  });
  const summary = JSON.parse(await readFile(join(workDir, "training.json"), "utf8")) as TrainingSummary;

  const statistics = inputStatistics(series, seed);
  const draft: Manifest = {
    format: 1,
    model: "demand.onnx",
    sha256: hash("sha256", await readFile(join(workDir, "demand.onnx"))),
    schema_hash: SCHEMA_HASH,
    features: FEATURES.map((feature) => feature.name),
    levels: [...DEFAULT_LEVELS],
    horizon_steps: HORIZON_STEPS,
    step_ms: FEATURE_STEP_MS,
    code_version: codeVersion([join(treesDir, "../../control/features"), treesDir]),
    training: {
      from: new Date(span.startMs).toISOString(),
      to: new Date(trainToMs).toISOString(),
      services: [...history.services],
      data_sha256: digestOf(series),
      seed,
      rising: [...RISING_FEATURES],
      rows: summary.rows,
      trees: summary.trees,
      parity_rows: summary.parity_rows,
      parity_max_abs_diff: summary.parity_max_abs_diff,
      versions: summary.versions,
    },
    // Filled by the backtest, which needs a manifest to open the model; until then it claims what must be proved.
    backtest: unproved(trainToMs, span.endMs),
    baselines_beaten: [],
    ...(statistics === null ? {} : { feature_statistics: statistics }),
  };
  await writeFile(join(workDir, MANIFEST_FILE), JSON.stringify(draft));
  const result = await score(workDir, history, trainToMs, span.endMs, progress);
  const manifest: Manifest = {
    ...draft,
    backtest: {
      from: draft.training.to,
      to: new Date(span.endMs).toISOString(),
      every_steps: result.everySteps,
      season_steps: result.seasonSteps,
      scores: rounded(result.scores),
    },
    baselines_beaten: baselinesBeaten(result.scores),
  };

  await rm(join(outDir, MANIFEST_FILE), { force: true });
  for (const file of ["demand.onnx", "parity.json"]) await rename(join(workDir, file), join(outDir, file));
  await writeFile(join(outDir, "MODEL_CARD.md"), modelCard(manifest, summary.gain));
  await writeFile(join(outDir, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
  await rm(workDir, { recursive: true, force: true });
  return { manifest, refusal: whyRefused(manifest) };
}

/** Scores the model of `modelDir` on the held-out span in the engine that serves it. */
async function score(
  modelDir: string,
  history: LoadHistory,
  fromMs: number,
  toMs: number,
  progress: (text: string) => void,
): Promise<BacktestResult> {
  const forecaster = await openForecaster({
    modelDir,
    log: { info: () => undefined, warn: (fields, text) => progress(`${text} ${JSON.stringify(fields)}`) },
  });
  try {
    const { reason } = forecaster.status();
    if (reason !== null)
      throw new BallastError("TRAIN_FAILED", `the exported model cannot be served: ${reason.code}: ${reason.text}`);
    const result = await backtest(forecaster, history, {
      services: history.services,
      fromMs,
      toMs,
      onOrigin: (done, of) => {
        if (done % 56 === 0 || done === of) progress(`backtest: origin ${done} of ${of}`);
      },
    });
    if (result.source !== "model")
      throw new BallastError("TRAIN_FAILED", `the backtest was answered by ${result.source}, not by the model`);
    return result;
  } finally {
    forecaster.close();
  }
}

function commonSpan(history: LoadHistory): { startMs: number; endMs: number } {
  if (history.stepMs !== FEATURE_STEP_MS)
    throw new BallastError(
      "TRAIN_HISTORY_TOO_SHORT",
      `the model is made for steps of ${FEATURE_STEP_MS / 60_000} min, the history has ${history.stepMs / 60_000} min`,
    );
  const spans = history.services.map((service) => history.span(service)).filter((span) => span !== null);
  if (spans.length === 0) throw new BallastError("TRAIN_HISTORY_TOO_SHORT", "the history has no service");
  const startMs = Math.min(...spans.map((span) => span.startMs));
  const endMs = Math.min(...spans.map((span) => span.endMs));
  const days = (endMs - HELD_OUT_MS - startMs) / 86_400_000;
  if (days < MIN_TRAINING_DAYS) {
    throw new BallastError(
      "TRAIN_HISTORY_TOO_SHORT",
      `${Math.max(0, Math.floor(days))} days remain after the held-out week, ${MIN_TRAINING_DAYS} are needed`,
    );
  }
  return { startMs, endMs };
}

function trainingSeries(history: LoadHistory, startMs: number, trainToMs: number): Series[] {
  const steps = Math.round((trainToMs - startMs) / history.stepMs);
  return history.services.map((service) => ({
    startMs,
    stepMs: history.stepMs,
    values: history.tail(service, trainToMs, steps),
  }));
}

/** Names the exact data that was trained on: span and every value, in the order of the services. */
function digestOf(series: readonly Series[]): string {
  const all = createHash("sha256");
  for (const one of series) all.update(`${one.startMs} ${one.stepMs} ${one.values.length}\n`).update(one.values);
  return all.digest("hex");
}

function unproved(fromMs: number, toMs: number): Manifest["backtest"] {
  const of = (value: number): Manifest["backtest"]["scores"]["model"] => ({
    mase: value,
    wql: value,
    pinball: [],
    coverage: [],
    count: 0,
  });
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    every_steps: HORIZON_STEPS,
    season_steps: STEPS_PER_DAY,
    scores: { model: of(0), seasonal_naive_weekly: of(1), seasonal_naive_daily: of(1), last: of(1) },
  };
}

/** Five digits are more than the last week can tell apart. */
function rounded<T>(value: T): T {
  return JSON.parse(
    JSON.stringify(value, (_, item) => (typeof item === "number" ? Number(item.toPrecision(5)) : item)),
  ) as T;
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
