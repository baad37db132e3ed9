import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY_LEDGER } from "../change/ledger.ts";
import type { LiveForecaster } from "../forecast/watch/live-forecaster.ts";
import { ModelDesk, type ModelDeskOptions } from "./model-desk.ts";

const never = () => Promise.reject(new Error("not asked for"));
const refusal = { code: "MODEL_HASH_MISMATCH", text: "demand.onnx has another sha256" };

function alarms(of: { configured?: string; model?: string; failing?: string; promoted?: boolean }): string[] {
  const { configured = "models/mine", model = "ready", failing = null, promoted = false } = of;
  const drift = { verdict: "steady", text: null, policy: "warn" };
  const live = {
    status: () => ({ model, reason: model === "refused" ? refusal : null, drift }),
    failing,
    comparison: () => null,
  } as unknown as LiveForecaster;
  const champion = promoted ? { sha256: "0".repeat(64), kind: "demand", folder: "models/promoted" } : null;
  const desk = { state: { ...EMPTY_LEDGER, models: { champion, former: [], shadow: null } }, note: never };
  const files = { unshared: () => null };
  const rules = { minWindows: 1, margin: 0 };
  const log = { info: () => undefined, warn: () => undefined };
  return new ModelDesk({ configured, live, desk, files, rules, log } as unknown as ModelDeskOptions).alarms();
}

test("a model of ballast.yaml that is refused needs a person; none, or one in place of which another was promoted, does not", () => {
  assert.deepEqual(alarms({}), []);
  assert.deepEqual(alarms({ model: "refused" }), [
    "MODEL_REFUSED: MODEL_HASH_MISMATCH: demand.onnx has another sha256; baselines answer in place of models/mine",
  ]);
  assert.deepEqual(alarms({ model: "refused", configured: "" }), []);
  assert.deepEqual(alarms({ model: "refused", promoted: true }), []);
});

test("a model that is ready and fails to answer needs a person", () => {
  assert.deepEqual(alarms({ failing: "the model fails to answer for 3 of 3 services looked at" }), [
    "MODEL_FAILING: the model fails to answer for 3 of 3 services looked at; the rest of the chain answers",
  ]);
});
