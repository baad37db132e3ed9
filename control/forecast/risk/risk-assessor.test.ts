import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { change, NINE_MS, twoSites } from "../../estate/estate.fixture.ts";
import { ChangeHistory } from "../../features/risk/change-history.ts";
import { RISK_FEATURES } from "../../features/risk/schema.ts";
import { trainingCases } from "../../features/risk/training-cases.ts";
import type { ChangePlan } from "../../ingest/records.ts";
import { WorkerSession } from "../worker/worker-session.ts";
import { type NamedCase, RiskAssessor } from "./risk-assessor.ts";
import { type RiskManifest, readRiskModel, riskManifestSchema, whyRiskRefused } from "./risk-manifest.ts";
import type { RiskWorkerInput } from "./risk-worker.ts";
import { PUBLISHED_RATES, ruleClass, ruleRates } from "./rule.ts";

const COMMITTED = fileURLToPath(new URL("../../../models/committed/risk", import.meta.url));
const scratch = await mkdtemp(join(tmpdir(), "ballast-risk-"));
after(() => rm(scratch, { recursive: true, force: true }));
const log = { info: () => undefined, warn: () => undefined };

const plan: ChangePlan = { type: "emergency", riskLevel: 3, impact: 1, createdMs: NINE_MS - 1_000, group: "dba" };
const history = new ChangeHistory(
  twoSites({
    changes: [
      change("CHG1", "db-b", { plan }),
      change("CHG2", "db-a", { plan: { ...plan, type: "standard", riskLevel: 1 } }),
      change("CHG3", "sw-a"),
    ],
  }),
);
const cases: NamedCase[] = trainingCases(history, ["app-a", "app-b"], () => true).map((one) => ({
  ...one,
  target: one.targetCi,
}));

/** A copy of the committed folder with another manifest. */
async function altered(edit: (manifest: RiskManifest) => unknown): Promise<string> {
  const folder = await mkdtemp(join(scratch, "m-"));
  await cp(COMMITTED, folder, { recursive: true });
  const manifest = riskManifestSchema.parse(JSON.parse(await readFile(join(folder, "manifest.json"), "utf8")));
  edit(manifest);
  await writeFile(join(folder, "manifest.json"), JSON.stringify(manifest));
  return folder;
}

test("the committed file computes its golden rows in the engine that serves it, and no row breaks a monotone sign", async () => {
  const { bytes } = await readRiskModel(COMMITTED);
  const golden = JSON.parse(await readFile(join(COMMITTED, "parity.json"), "utf8")) as {
    rows: (number | null)[][];
    probability: number[];
  };
  const session = await WorkerSession.open<RiskWorkerInput, Float32Array, Float32Array>({
    input: { bytes, features: RISK_FEATURES.length },
    loadTimeoutMs: 30_000,
    timeoutMs: 30_000,
    workerMemoryMb: 64,
    workerUrl: new URL("./risk-worker.ts", import.meta.url),
  });
  try {
    const values = await session.run(
      Float32Array.from(golden.rows.flat(), (value) => value ?? Number.NaN),
      [],
    );
    golden.probability.forEach((expected, i) => {
      assert.ok(Math.abs(values[i]! - expected) < 1e-5, `row ${i}: ${values[i]} for ${expected}`);
    });
    for (const [column, { name, monotone }] of RISK_FEATURES.entries()) {
      if (monotone === 0) continue;
      // Each golden row with the column at 0, ½, … 8, which covers what its unit can hold.
      const steps = Array.from({ length: 17 }, (_, step) => step / 2);
      const rows = golden.rows.flatMap((row) => steps.map((value) => row.with(column, value)));
      const told = await session.run(
        Float32Array.from(rows.flat(), (value) => value ?? Number.NaN),
        [],
      );
      told.forEach((p, i) => {
        const risen = monotone * (p - told[i - 1]!);
        assert.ok(i % steps.length === 0 || risen >= -1e-6, `${name}: ${told[i - 1]} then ${p}`);
      });
    }
  } finally {
    session.close();
  }
});

test("the model answers for every change and target, an emergency never below a standard change like it", async () => {
  const assessor = await RiskAssessor.open({ modelDir: COMMITTED, log });
  try {
    const risks = await assessor.assess(cases, history, NINE_MS);
    assert.deepEqual(
      risks.map(({ source }) => source),
      cases.map(() => "model"),
    );
    assert.ok(risks.every(({ probability }) => probability > 0 && probability < 1));
    const of = (change: string): number => risks.find((risk) => risk.change === change)!.probability;
    assert.ok(of("CHG1") > of("CHG2"));
  } finally {
    assessor.close();
  }
});

test("without a model the rule answers, without type and risk field the base rate, each with the reason", async () => {
  const assessor = await RiskAssessor.open({ modelDir: join(scratch, "absent"), log });
  const risks = await assessor.assess(cases, history, NINE_MS);
  const of = (change: string) => risks.find((risk) => risk.change === change)!;
  assert.deepEqual([of("CHG1").source, of("CHG1").probability], ["rule", PUBLISHED_RATES.high]);
  assert.deepEqual([of("CHG2").source, of("CHG2").probability], ["rule", PUBLISHED_RATES.low]);
  assert.deepEqual([of("CHG3").source, of("CHG3").probability], ["base_rate", PUBLISHED_RATES.base]);
  assert.match(of("CHG1").fallbackReasons[0]!, /^MODEL_MISSING: /);
  assert.match(of("CHG3").fallbackReasons[1]!, /neither a type nor a risk field/);
  assert.equal(assessor.status.model, "refused");
});

test("a file that is not the manifest's, another schema, and a model that beats nothing are refused", async () => {
  const refused = async (edit: (manifest: RiskManifest) => unknown): Promise<string> => {
    const assessor = await RiskAssessor.open({ modelDir: await altered(edit), log });
    assessor.close();
    return assessor.status.reason?.code ?? "served";
  };
  assert.equal(await refused(() => undefined), "served");
  assert.equal(await refused((m) => Object.assign(m, { sha256: "0".repeat(64) })), "MODEL_HASH_MISMATCH");
  assert.equal(await refused((m) => Object.assign(m, { schema_hash: "0" })), "SCHEMA_MISMATCH");
  assert.equal(await refused((m) => m.features.reverse()), "SCHEMA_MISMATCH");
  assert.equal(await refused((m) => Object.assign(m.test.model, { brier: m.test.rule.brier })), "MODEL_NOT_BETTER");
  assert.equal(await refused((m) => Object.assign(m.test.model, { ece: 0.06 })), "MODEL_NOT_BETTER");
  assert.equal(await refused((m) => Object.assign(m.rates, { base: 2 })), "MANIFEST_INVALID");
});

test("an answer beyond what the model ever said in training is not used; the manifest's rates are", async () => {
  const folder = await altered((m) => Object.assign(m, { highest_probability: 1e-6 }));
  const assessor = await RiskAssessor.open({ modelDir: folder, log });
  try {
    const { manifest } = await readRiskModel(folder);
    const [risk] = await assessor.assess(
      cases.filter(({ facts }) => facts.number === "CHG1"),
      history,
      NINE_MS,
    );
    assert.equal(risk!.source, "rule");
    assert.equal(risk!.probability, manifest.rates.high);
    assert.match(risk!.fallbackReasons[0]!, /^OUTPUT_GUARD: /);
  } finally {
    assessor.close();
  }
});

test("after its session is gone the rule answers, and the reason is kept", async () => {
  const assessor = await RiskAssessor.open({ modelDir: COMMITTED, log });
  assessor.close();
  const [risk] = await assessor.assess(cases.slice(0, 1), history, NINE_MS);
  assert.notEqual(risk!.source, "model");
  assert.match(risk!.fallbackReasons[0]!, /^INFERENCE_FAILED: /);
});

test("the rule sorts by type and risk field, and its rates come from the history, drawn to the base rate when few", () => {
  assert.equal(ruleClass({ type: "emergency", riskLevel: 1 }), "high");
  assert.equal(ruleClass({ type: "standard", riskLevel: 3 }), "high");
  assert.equal(ruleClass({ type: "standard", riskLevel: null }), "low");
  assert.equal(ruleClass({ type: "normal", riskLevel: 1 }), "moderate");
  assert.equal(ruleClass({ type: "unknown", riskLevel: null }), null);
  const many = Array.from({ length: 1_000 }, (_, i) => ({
    plan: { type: "normal" as const, riskLevel: 2 },
    degraded: i < 100,
  }));
  const rates = ruleRates([...many, { plan: { type: "emergency", riskLevel: 4 }, degraded: true }]);
  assert.ok(Math.abs(rates.moderate - 0.1) < 0.001);
  assert.ok(rates.high > rates.base && rates.high < 0.15, "one emergency is no rate");
});

test("the committed manifest and card belong together, and the model beats rule and base rate on its test span", async () => {
  const manifest = riskManifestSchema.parse(JSON.parse(await readFile(join(COMMITTED, "manifest.json"), "utf8")));
  assert.equal(whyRiskRefused(manifest), null);
  assert.ok(manifest.training.parity_max_abs_diff < 1e-5);
  const card = await readFile(join(COMMITTED, "MODEL_CARD.md"), "utf8");
  assert.ok(card.includes(manifest.test.model.brier.toFixed(5)) && card.includes(manifest.code_version));
});
