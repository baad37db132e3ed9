import { z } from "zod";
import { RISK_FEATURES, RISK_SCHEMA_HASH } from "../../features/risk/schema.ts";
import { readManifest, readModelFile } from "../model-file.ts";
import { FallbackError } from "../reasons.ts";

const rate = z.number().min(0).max(1);
const scores = z.object({
  brier: z.number(),
  log_loss: z.number(),
  pr_auc: z.number(),
  ece: z.number(),
  count: z.number().int(),
});

/** What stands beside a risk model. Written by training, checked before the model may answer. */
export const riskManifestSchema = z.object({
  format: z.literal(1),
  kind: z.literal("change-risk"),
  model: z.string().regex(/^[A-Za-z0-9._-]{1,128}$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  schema_hash: z.string(),
  features: z.array(z.string()).max(256),
  code_version: z.string(),
  /** Rates of the training span, for the links below the model. */
  rates: z.object({ base: rate, low: rate, moderate: rate, high: rate }),
  /** Highest probability that the model gave on the training and calibration spans. */
  highest_probability: rate,
  training: z.object({
    source: z.string(),
    from: z.string(),
    calibrate_from: z.string(),
    test_from: z.string(),
    to: z.string(),
    seed: z.number().int(),
    rows: z.number().int(),
    degraded: z.number().int(),
    trees: z.number().int(),
    /** Share of the logistic regression in the log-odds; absent: trees alone. */
    linear_share: rate.optional(),
    data_sha256: z.string(),
    parity_rows: z.number().int(),
    parity_max_abs_diff: z.number(),
    versions: z.record(z.string(), z.string()),
  }),
  /** On the test span. */
  test: z.object({ model: scores, rule: scores, base_rate: scores }),
});

export type RiskManifest = z.infer<typeof riskManifestSchema>;

const MAX_MODEL_BYTES = 16 << 20;
/** A model whose probabilities miss the rates by more than this in the mean must not move traffic. */
const MAX_CALIBRATION_ERROR = 0.05;

/** Why a model with these scores may not answer, as one sentence; null when it may. */
export function whyRiskRefused({ test }: Pick<RiskManifest, "test">): string | null {
  for (const name of ["rule", "base_rate"] as const) {
    if (!(test.model.brier < test[name].brier)) {
      return `its Brier score ${test.model.brier} does not beat the ${name.replace("_", " ")}'s ${test[name].brier}`;
    }
  }
  if (!(test.model.ece <= MAX_CALIBRATION_ERROR))
    return `its calibration error ${test.model.ece} is above ${MAX_CALIBRATION_ERROR}`;
  return null;
}

/**
 * Reads manifest and model of a folder and checks one against the other and against this build's features. The bytes
 * returned are the bytes that were hashed. Throws FallbackError with the reason of the refusal.
 */
export async function readRiskModel(folder: string): Promise<{ manifest: RiskManifest; bytes: Uint8Array }> {
  const manifest = await readManifest(folder, riskManifestSchema);
  const names = RISK_FEATURES.map((feature) => feature.name);
  if (manifest.schema_hash !== RISK_SCHEMA_HASH || manifest.features.join() !== names.join()) {
    const text = `the risk model was trained with feature schema ${manifest.schema_hash}, this build computes ${RISK_SCHEMA_HASH}`;
    throw new FallbackError("SCHEMA_MISMATCH", text);
  }
  const refusal = whyRiskRefused(manifest);
  if (refusal !== null) throw new FallbackError("MODEL_NOT_BETTER", refusal);
  return { manifest, bytes: await readModelFile(folder, manifest, MAX_MODEL_BYTES) };
}
