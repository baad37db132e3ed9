import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { SeededRandom } from "../../features/seeded-random.ts";
import { CONTEXT_CHANNELS, SEQUENCE_CHANNELS, SERIES_FEATURES } from "../../features/series/shape.ts";
import { sealed } from "../manifest-seal.ts";
import { beatsSeasonalNaive, readSeriesModel } from "./series-manifest.ts";
import { SeriesModel } from "./series-model.ts";

const COMMITTED = fileURLToPath(new URL("../../../models/committed/robot-shop/", import.meta.url));
const scratch = await mkdtemp(join(tmpdir(), "ballast-series-model-"));
after(() => rm(scratch, { recursive: true, force: true }));

const random = new SeededRandom(11);
const values = Float64Array.from(
  { length: 2_000 },
  (_, t) => 900 + 300 * Math.sin((2 * Math.PI * t) / 360) + 20 * random.normal(),
);

/** A copy of the committed model with one text in its manifest replaced. */
async function changed(name: string, from: string | RegExp, to: string): Promise<string> {
  const folder = join(scratch, name);
  await cp(COMMITTED, folder, { recursive: true });
  const text = await readFile(join(folder, "manifest.json"), "utf8");
  assert.match(text, from instanceof RegExp ? from : new RegExp(from));
  await writeFile(join(folder, "manifest.json"), sealed(text.replace(from, to)));
  return folder;
}

describe("the committed series model", () => {
  test("was trained by the whole pipeline, has both halves, and passed its gate", async () => {
    const { manifest, bytes } = await readSeriesModel(COMMITTED);
    assert.equal(manifest.training.pipeline, "tfx");
    assert.ok(manifest.training.parity_rows >= 10_000 && manifest.training.parity_max_abs_diff < 1e-5);
    assert.ok(beatsSeasonalNaive(manifest));
    assert.deepEqual(manifest.inputs, ["features", "sequence", "context"]);
    assert.ok(bytes.length < 8_000_000);
  });

  test("computes here what it computed where it was exported", async () => {
    const golden = JSON.parse(await readFile(join(COMMITTED, "golden.json"), "utf8"));
    const { manifest } = await readSeriesModel(COMMITTED);
    const ort = await import("onnxruntime-node");
    const session = await ort.InferenceSession.create(join(COMMITTED, manifest.model));
    const dims: Record<string, number[]> = {
      features: [golden.origins, golden.steps, SERIES_FEATURES.length],
      sequence: [
        golden.origins,
        golden.inputs.sequence.length / golden.origins / SEQUENCE_CHANNELS.length,
        SEQUENCE_CHANNELS.length,
      ],
      context: [golden.origins, manifest.horizon, CONTEXT_CHANNELS.length],
    };
    const feeds = Object.fromEntries(
      manifest.inputs.map((name) => [
        name,
        new ort.Tensor("float32", Float32Array.from(golden.inputs[name]), dims[name]!),
      ]),
    );
    const said = (await session.run(feeds)).forecast!.data as Float32Array;
    assert.equal(said.length, golden.forecast.length);
    said.forEach((value, i) => {
      assert.ok(Math.abs(value - golden.forecast[i]) < 1e-5);
    });
  });

  test("answers series of any size alike, in order of the levels, from the past alone", async () => {
    const model = await SeriesModel.open(COMMITTED);
    try {
      const whole = values.map((value) => value);
      const [one, big, cut] = await model.forecast([
        { values },
        { values: values.map((value) => 1_024 * value) },
        { values: whole.fill(1e9, 1_500), origin: 1_500 },
      ]);
      const [alone] = await model.forecast([{ values: values.subarray(0, 1_500) }]);
      assert.deepEqual(cut, alone);
      const { levels, horizon } = model.manifest;
      for (let h = 0; h < horizon; h++)
        for (let q = 0; q < levels.length; q++) {
          assert.ok(q === 0 || one![q]![h]! >= one![q - 1]![h]!);
          assert.ok(Math.abs(big![q]![h]! / one![q]![h]! / 1_024 - 1) < 1e-4);
        }
      // Nothing but rhythm and noise: the median must follow it.
      let error = 0;
      for (let h = 0; h < horizon; h++)
        error += Math.abs(one![4]![h]! - (900 + 300 * Math.sin((2 * Math.PI * (2_000 + h)) / 360))) / horizon;
      assert.ok(error < 30, `${error}`);
    } finally {
      model.close();
    }
  });

  test("a past that is too short is refused, and so is a call after it was closed", async () => {
    const model = await SeriesModel.open(COMMITTED);
    await assert.rejects(model.forecast([{ values, origin: model.minPastSteps - 1 }]), /HISTORY_TOO_SHORT/);
    model.close();
    await assert.rejects(model.forecast([{ values }]), /INFERENCE_FAILED: the session was closed/);
  });
});

describe("a folder is refused", () => {
  test("when the file, the schema, or the manifest is not the right one", async () => {
    await assert.rejects(SeriesModel.open(join(scratch, "absent")), /MODEL_MISSING/);
    await assert.rejects(
      SeriesModel.open(await changed("hash", /"sha256": "[0-9a-f]{8}/, '"sha256": "00000000')),
      /MODEL_HASH_MISMATCH/,
    );
    await assert.rejects(
      SeriesModel.open(await changed("schema", /"schema_hash": "[^"]*"/, '"schema_hash": "0"')),
      /SCHEMA_MISMATCH/,
    );
    await assert.rejects(
      SeriesModel.open(await changed("season", '"season": 360', '"season": 361')),
      /SCHEMA_MISMATCH/,
    );
    await assert.rejects(SeriesModel.open(await changed("format", '"format": 2', '"format": 1')), /MANIFEST_INVALID/);
    await assert.rejects(SeriesModel.open(await changed("json", "{", "")), /MANIFEST_INVALID/);
  });
});
