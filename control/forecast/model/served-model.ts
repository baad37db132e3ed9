import type { FeatureStatistics } from "../../features/feature-statistics.ts";
import { FEATURE_HISTORY_STEPS, HORIZON_STEPS } from "../../features/schema.ts";
import { minPastSteps, reachOf } from "../../features/series/shape.ts";
import { type Manifest, readModel } from "../demand-manifest.ts";
import { readManifestJson } from "../model-file.ts";
import { FallbackError } from "../reasons.ts";
import { beatsSeasonalNaive, readSeriesModel, type SeriesManifest } from "../series/series-manifest.ts";
import type { WorkerModel } from "./model-kind.ts";
import { NO_WORLD, type WorldSource } from "./world-source.ts";

/** A model that may answer: its file is the one of its manifest, its features are this build's, and it beat the seasonal-naive forecast. */
export interface ServedModel {
  folder: string;
  kind: WorkerModel["kind"];
  /** Of the model file. */
  sha256: string;
  /** Of its inputs. */
  schemaHash: string;
  codeVersion: string | null;
  levels: readonly number[];
  horizonSteps: number;
  stepMs: number;
  /** Span over which its inputs are held against training: with less of it an ordinary Monday looks like drift. */
  driftSpanSteps: number;
  /** Steps of past that it is given per service, and the least that it can answer from. */
  historySteps: number;
  minHistorySteps: number;
  /** Distribution of its inputs in training; null: not recorded, so drift of inputs cannot be judged. */
  statistics: FeatureStatistics | null;
  /** How loads were in training, by their signs over `season` steps; null: not recorded. */
  signs: { statistics: FeatureStatistics; season: number } | null;
  /** Share of held-out observations at or below each level. */
  coverage: readonly number[];
  bytes: Uint8Array;
  worker: WorkerModel;
}

/** The planner asks for the demand of one hour. */
const HORIZON_MS = 3_600_000;
const WEEK_MS = 7 * 86_400_000;
/** Past that a series model is given at most; more of it changes little and costs memory for each service. */
const MAX_HISTORY_STEPS = 20_000;

/**
 * Reads and checks the model of a folder, of either kind. Throws FallbackError with the reason of the refusal.
 * @param world what its feature groups will be given
 */
export async function readServedModel(folder: string, world: WorldSource = NO_WORLD): Promise<ServedModel> {
  if (folder === "") throw new FallbackError("MODEL_MISSING", "the configuration names no model");
  if ((await kindOf(folder)) === "series") {
    const { manifest, bytes } = await readSeriesModel(folder);
    return fromSeries(folder, manifest, bytes, world);
  }
  const { manifest, bytes } = await readModel(folder);
  return fromDemand(folder, manifest, bytes);
}

/** A look at `kind` alone; the reader of that kind judges everything else, also what cannot be read here. */
async function kindOf(folder: string): Promise<string | null> {
  try {
    const manifest = (await readManifestJson(folder)) as { kind?: unknown } | null;
    return typeof manifest?.kind === "string" ? manifest.kind : null;
  } catch {
    return null;
  }
}

function fromDemand(folder: string, manifest: Manifest, bytes: Uint8Array): ServedModel {
  const { levels } = manifest;
  const statistics = manifest.feature_statistics ?? null;
  return {
    folder,
    kind: "demand",
    sha256: manifest.sha256,
    schemaHash: manifest.schema_hash,
    codeVersion: manifest.code_version,
    levels,
    horizonSteps: HORIZON_STEPS,
    stepMs: manifest.step_ms,
    // Its inputs compare with the same weekday already.
    driftSpanSteps: manifest.backtest.season_steps,
    historySteps: FEATURE_HISTORY_STEPS,
    minHistorySteps: 1,
    statistics,
    signs: null,
    coverage: manifest.backtest.scores.model.coverage,
    bytes,
    worker: { kind: "demand", levels, statistics },
  };
}

function fromSeries(folder: string, manifest: SeriesManifest, bytes: Uint8Array, world: WorldSource): ServedModel {
  const { season, horizon, levels, inputs, step_ms: stepMs } = manifest;
  if (stepMs === undefined)
    throw new FallbackError("SCHEMA_MISMATCH", "the manifest names no step_ms: it cannot be told which load it is for");
  if (horizon * stepMs !== HORIZON_MS)
    throw new FallbackError(
      "SCHEMA_MISMATCH",
      `the model looks ${horizon} steps of ${stepMs} ms ahead, plans need one hour`,
    );
  const lacking = world.lacks(manifest.groups);
  if (lacking !== null) throw new FallbackError("COVARIATES_MISSING", lacking);
  if (!beatsSeasonalNaive(manifest))
    throw new FallbackError("MODEL_NOT_BETTER", "the gate in the manifest does not beat the seasonal-naive forecast");
  const statistics = manifest.feature_statistics ?? null;
  const minHistorySteps = minPastSteps(manifest);
  return {
    folder,
    kind: "series",
    sha256: manifest.sha256,
    schemaHash: manifest.schema_hash,
    codeVersion: null,
    levels,
    horizonSteps: horizon,
    stepMs,
    driftSpanSteps: Math.max(season, Math.round(WEEK_MS / stepMs)),
    historySteps: Math.max(minHistorySteps, Math.min(MAX_HISTORY_STEPS, reachOf(manifest))),
    minHistorySteps,
    statistics,
    signs: manifest.load_statistics === undefined ? null : { statistics: manifest.load_statistics, season },
    coverage: manifest.gate.model.coverage,
    bytes,
    worker: { kind: "series", season, horizon, stepMs, groups: manifest.groups, levels, inputs, statistics },
  };
}
