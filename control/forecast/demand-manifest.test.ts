import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { FEATURE_STEP_MS } from "../features/schema.ts";
import type { Manifest } from "./demand-manifest.ts";
import { committed, historyOf, one, open, scratch } from "./forecaster.fixture.ts";

/** A copy of the committed model with something wrong about it. */
async function spoiled(name: string, spoil: (dir: string, manifest: Manifest) => Promise<void>): Promise<string> {
  const dir = join(scratch, name);
  await cp(committed, dir, { recursive: true });
  await spoil(dir, JSON.parse(await readFile(join(dir, "manifest.json"), "utf8")) as Manifest);
  return dir;
}

/** Without a seal, so that what is wrong about it is looked at. */
async function writeManifest(dir: string, manifest: object): Promise<void> {
  await writeFile(join(dir, "manifest.json"), JSON.stringify({ ...manifest, seal: undefined }));
}

const refusals: [string, string, (dir: string, manifest: Manifest) => Promise<void>][] = [
  ["a deleted folder", "MODEL_MISSING", (dir) => rm(dir, { recursive: true })],
  [
    "a figure that was changed after training",
    "MANIFEST_INVALID",
    async (dir) => {
      const text = await readFile(join(dir, "manifest.json"), "utf8");
      await writeFile(join(dir, "manifest.json"), text.replace('"count": ', '"count": 1'));
    },
  ],
  ["a deleted model file", "MODEL_MISSING", (dir) => rm(join(dir, "demand.onnx"))],
  ["a manifest that is not JSON", "MANIFEST_INVALID", (dir) => writeFile(join(dir, "manifest.json"), "{")],
  ["a manifest without a field", "MANIFEST_INVALID", (dir, { levels: _, ...rest }) => writeManifest(dir, rest)],
  [
    "a manifest that names a file outside its folder",
    "MANIFEST_INVALID",
    (dir, manifest) => writeManifest(dir, { ...manifest, model: "../demand.onnx" }),
  ],
  [
    "levels that do not ascend",
    "MANIFEST_INVALID",
    (dir, manifest) => writeManifest(dir, { ...manifest, levels: manifest.levels.toReversed() }),
  ],
  [
    "a model with one byte changed",
    "MODEL_HASH_MISMATCH",
    async (dir) => {
      const bytes = await readFile(join(dir, "demand.onnx"));
      bytes[bytes.length >> 1]! ^= 1;
      await writeFile(join(dir, "demand.onnx"), bytes);
    },
  ],
  [
    "another feature schema",
    "SCHEMA_MISMATCH",
    (dir, manifest) => writeManifest(dir, { ...manifest, schema_hash: "0000000000000000" }),
  ],
  ["another horizon", "SCHEMA_MISMATCH", (dir, manifest) => writeManifest(dir, { ...manifest, horizon_steps: 6 })],
  [
    "a model that does not beat seasonal naive",
    "MODEL_NOT_BETTER",
    (dir, manifest) => {
      const { scores } = manifest.backtest;
      return writeManifest(dir, {
        ...manifest,
        backtest: {
          ...manifest.backtest,
          scores: { ...scores, model: { ...scores.model, mase: scores.seasonal_naive_daily.mase + 1 } },
        },
      });
    },
  ],
  [
    "a file that is no model under a manifest that fits it",
    "MODEL_LOAD_FAILED",
    async (dir, manifest) => {
      await writeFile(join(dir, "demand.onnx"), "not a model");
      await writeManifest(dir, { ...manifest, sha256: createHash("sha256").update("not a model").digest("hex") });
    },
  ],
];
for (const [what, code, spoil] of refusals) {
  test(`${what} is refused as ${code} and seasonal naive answers with the reason`, async () => {
    const { history, endMs } = historyOf({ seed: 5, days: 16 });
    const forecaster = await open({ modelDir: await spoiled(`${code}-${what.replaceAll(" ", "-")}`, spoil) });
    const status = forecaster.status();
    assert.equal(status.model, "refused");
    assert.equal(status.reason?.code, code);
    const forecast = await one(forecaster, history, endMs);
    assert.equal(forecast.source, "seasonal_naive");
    assert.match(forecast.fallbackReasons[0] ?? "", new RegExp(`^${code}: `));
    const weekAgo = history.tail("s0", endMs - 7 * 86_400_000 + 12 * FEATURE_STEP_MS, 12);
    assert.deepEqual([...forecast.values.rows()[forecast.levels.indexOf(0.5)]!], [...weekAgo]);
  });
}
