import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { RISK_FEATURES, RISK_SCHEMA_HASH } from "../../features/risk/schema.ts";
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
    data_sha256: z.string(),
    parity_rows: z.number().int(),
    parity_max_abs_diff: z.number(),
    versions: z.record(z.string(), z.string()),
  }),
  /** On the test span. */
  test: z.object({ model: scores, rule: scores, base_rate: scores }),
});

export type RiskManifest = z.infer<typeof riskManifestSchema>;

export const RISK_MANIFEST_FILE = "manifest.json";
const MAX_MANIFEST_BYTES = 1 << 20;
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
  const manifest = parse(new TextDecoder().decode(await bounded(join(folder, RISK_MANIFEST_FILE), MAX_MANIFEST_BYTES)));
  const names = RISK_FEATURES.map((feature) => feature.name);
  if (manifest.schema_hash !== RISK_SCHEMA_HASH || manifest.features.join() !== names.join()) {
    const text = `the risk model was trained with feature schema ${manifest.schema_hash}, this build computes ${RISK_SCHEMA_HASH}`;
    throw new FallbackError("SCHEMA_MISMATCH", text);
  }
  const refusal = whyRiskRefused(manifest);
  if (refusal !== null) throw new FallbackError("MODEL_NOT_BETTER", refusal);
  const bytes = await bounded(join(folder, manifest.model), MAX_MODEL_BYTES);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  if (sha256 !== manifest.sha256) {
    const text = `${manifest.model} has sha256 ${sha256.slice(0, 12)}…, its manifest says ${manifest.sha256.slice(0, 12)}…`;
    throw new FallbackError("MODEL_HASH_MISMATCH", text);
  }
  return { manifest, bytes };
}

function parse(text: string): RiskManifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new FallbackError("MANIFEST_INVALID", `${RISK_MANIFEST_FILE} is not JSON`, cause);
  }
  const parsed = riskManifestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = `${RISK_MANIFEST_FILE}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`;
  throw new FallbackError("MANIFEST_INVALID", where);
}

async function bounded(path: string, maxBytes: number): Promise<Uint8Array> {
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    if (size > maxBytes)
      throw new FallbackError("MANIFEST_INVALID", `${path} has ${size} bytes, more than ${maxBytes}`);
    return await file.readFile();
  } catch (cause) {
    if (cause instanceof FallbackError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
    throw new FallbackError("MODEL_MISSING", `${path} cannot be read (${code})`, cause);
  }
}
