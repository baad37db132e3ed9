import { z } from "zod";
import { featureStatisticsSchema } from "../../features/feature-statistics.ts";
import { groupedSchemaHash } from "../../features/groups/grouped-inputs.ts";
import { checkAscending, readManifest, readModelFile } from "../model-file.ts";
import { FallbackError } from "../reasons.ts";

const score = z.object({
  mase: z.number(),
  pinball: z.number(),
  coverage: z.array(z.number()),
  count: z.number().int(),
});

/** What stands beside the file of a series model. Written by the training pipeline. Fields unknown here are kept out. */
export const seriesManifestSchema = z.object({
  format: z.literal(2),
  kind: z.literal("series"),
  model: z.string().regex(/^[A-Za-z0-9._-]{1,128}$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  schema_hash: z.string(),
  season: z.number().int().positive(),
  horizon: z.number().int().positive(),
  /** Length of a step. Absent where the model was trained for a backtest alone: then it may not steer. */
  step_ms: z.number().int().positive().optional(),
  levels: z.array(z.number().gt(0).lt(1)).min(1).max(32),
  inputs: z.array(z.enum(["features", "sequence", "context"])).min(1),
  /** Feature groups beside the series' own past, with what was fitted of them. */
  groups: z
    .array(z.object({ name: z.string(), version: z.number().int(), parameters: z.unknown() }))
    .max(32)
    .default([]),
  training: z.object({
    pipeline: z.enum(["tfx", "trees"]),
    seed: z.number().int(),
    data_sha256: z.string(),
    examples: z.record(z.string(), z.number()),
    recurrent_share: z.number(),
    parity_rows: z.number().int(),
    parity_max_abs_diff: z.number(),
    versions: z.record(z.string(), z.string()),
  }),
  /** On the span that nothing was fitted on; errors in units of the scale. */
  gate: z.object({
    model: score,
    seasonal_naive: score,
    slices: z.record(
      z.string(),
      z.object({
        mase: z.number(),
        seasonal_naive_mase: z.number(),
        /** Per level; absent in models of before it was recorded. */
        coverage: z.array(z.number()).optional(),
        count: z.number().int(),
      }),
    ),
  }),
  /** How the inputs were distributed in training; absent: drift of inputs is not judged. */
  feature_statistics: featureStatisticsSchema.optional(),
  /** How the loads themselves were, by their signs (control/features/series/load-signs.ts); absent: they are not judged. */
  load_statistics: featureStatisticsSchema.optional(),
});

export type SeriesManifest = z.infer<typeof seriesManifestSchema>;

const MAX_MODEL_BYTES = 64 << 20;

/** True when the gate found the model better than the seasonal-naive forecast, on MASE and on pinball loss. */
export function beatsSeasonalNaive({ gate }: SeriesManifest): boolean {
  return gate.model.mase < gate.seasonal_naive.mase && gate.model.pinball < gate.seasonal_naive.pinball;
}

/**
 * Reads and checks a folder: shape of the manifest, hash of the file, feature schema of this build. Whether the model is good enough
 * to steer is the caller's question (`beatsSeasonalNaive`). Throws FallbackError with the reason.
 */
export async function readSeriesModel(folder: string): Promise<{ manifest: SeriesManifest; bytes: Uint8Array }> {
  const manifest = await readManifest(folder, seriesManifestSchema);
  const own = ownSchema(manifest);
  if (manifest.schema_hash !== own)
    throw new FallbackError(
      "SCHEMA_MISMATCH",
      `the model was trained with feature schema ${manifest.schema_hash}, this build computes ${own}`,
    );
  checkAscending(manifest.levels);
  return { manifest, bytes: await readModelFile(folder, manifest, MAX_MODEL_BYTES) };
}

/** The schema that this build computes for a manifest. Parameters of groups come from a file: what they break is a refusal. */
function ownSchema(manifest: SeriesManifest): string {
  try {
    return groupedSchemaHash(manifest, manifest.groups);
  } catch (cause) {
    throw new FallbackError("SCHEMA_MISMATCH", `its feature groups: ${(cause as Error).message}`, cause);
  }
}
