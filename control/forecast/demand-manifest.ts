import { z } from "zod";
import { featureStatisticsSchema } from "../features/feature-statistics.ts";
import { FEATURE_STEP_MS, FEATURES, HORIZON_STEPS, SCHEMA_HASH } from "../features/schema.ts";
import { checkAscending, readManifest, readModelFile } from "./model-file.ts";
import { FallbackError } from "./reasons.ts";

const scores = z.object({
  mase: z.number(),
  wql: z.number(),
  pinball: z.array(z.number()),
  coverage: z.array(z.number()),
  count: z.number().int(),
});

/** What stands beside a model file. Written by `ballast train`, checked before the model may answer. */
export const manifestSchema = z.object({
  format: z.literal(1),
  model: z.string().regex(/^[A-Za-z0-9._-]{1,128}$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  schema_hash: z.string(),
  features: z.array(z.string()).max(4096),
  levels: z.array(z.number().gt(0).lt(1)).min(1).max(32),
  horizon_steps: z.number().int().positive(),
  step_ms: z.number().int().positive(),
  code_version: z.string(),
  training: z.object({
    from: z.string(),
    to: z.string(),
    services: z.array(z.string()),
    data_sha256: z.string(),
    seed: z.number().int(),
    /** Inputs of which a higher value never lowers the forecast; absent: of none is it known. */
    rising: z.array(z.string()).optional(),
    rows: z.number().int(),
    trees: z.number().int(),
    parity_rows: z.number().int(),
    parity_max_abs_diff: z.number(),
    versions: z.record(z.string(), z.string()),
  }),
  backtest: z.object({
    from: z.string(),
    to: z.string(),
    every_steps: z.number().int().positive(),
    season_steps: z.number().int().positive(),
    scores: z.object({ model: scores, seasonal_naive_weekly: scores, seasonal_naive_daily: scores, last: scores }),
  }),
  baselines_beaten: z.array(z.string()),
  /** How the inputs were distributed in training; absent: drift of inputs is not judged. */
  feature_statistics: featureStatisticsSchema.optional(),
});

export type Manifest = z.infer<typeof manifestSchema>;

const MAX_MODEL_BYTES = 64 << 20;

/** Baselines whose score is strictly worse than the model's, on MASE and on wQL. */
export function baselinesBeaten(all: Manifest["backtest"]["scores"]): string[] {
  const { model, ...baselines } = all;
  return Object.entries(baselines)
    .filter(([, score]) => model.mase < score.mase && model.wql < score.wql)
    .map(([name]) => name);
}

/** Why a model with this manifest may not steer, as one sentence; null when it may. */
export function whyRefused(manifest: Manifest): string | null {
  const beaten = baselinesBeaten(manifest.backtest.scores);
  const missed = ["seasonal_naive_weekly", "seasonal_naive_daily"].filter((name) => !beaten.includes(name));
  return missed.length === 0 ? null : `the backtest in the manifest does not beat ${missed.join(" and ")}`;
}

/**
 * Reads the manifest and the model of a folder and checks one against the other and against this build's features.
 * The bytes returned are the bytes that were hashed. Throws FallbackError with the reason of the refusal.
 */
export async function readModel(modelDir: string): Promise<{ manifest: Manifest; bytes: Uint8Array }> {
  if (modelDir === "") throw new FallbackError("MODEL_MISSING", "the configuration names no model");
  const manifest = await readManifest(modelDir, manifestSchema);
  checkFits(manifest);
  return { manifest, bytes: await readModelFile(modelDir, manifest, MAX_MODEL_BYTES) };
}

function checkFits(manifest: Manifest): void {
  const names = FEATURES.map((feature) => feature.name);
  if (manifest.schema_hash !== SCHEMA_HASH || manifest.features.join() !== names.join()) {
    throw new FallbackError(
      "SCHEMA_MISMATCH",
      `the model was trained with feature schema ${manifest.schema_hash}, this build computes ${SCHEMA_HASH}`,
    );
  }
  if (manifest.horizon_steps !== HORIZON_STEPS || manifest.step_ms !== FEATURE_STEP_MS) {
    throw new FallbackError(
      "SCHEMA_MISMATCH",
      `the model looks ${manifest.horizon_steps} steps of ${manifest.step_ms} ms ahead, this build ${HORIZON_STEPS} of ${FEATURE_STEP_MS}`,
    );
  }
  checkAscending(manifest.levels);
  const refusal = whyRefused(manifest);
  if (refusal !== null) throw new FallbackError("MODEL_NOT_BETTER", refusal);
}
