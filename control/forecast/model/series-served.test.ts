import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { SeededRandom } from "../../features/seeded-random.ts";
import { LoadHistory } from "../../ingest/load-history.ts";
import { type Forecaster, openForecaster } from "../forecaster.ts";
import { sealed } from "../manifest-seal.ts";
import type { SeriesManifest } from "../series/series-manifest.ts";
import { SeriesModel } from "../series/series-model.ts";
import { readServedModel } from "./served-model.ts";

/** The committed series model looks 60 steps ahead: on a load by the minute that is the hour that plans are made for. */
const COMMITTED = fileURLToPath(new URL("../../../models/committed/robot-shop", import.meta.url));
const STEP_MS = 60_000;
const SEASON = 360;
const log = { info: () => undefined, warn: () => undefined };
const scratch = await mkdtemp(join(tmpdir(), "ballast-series-served-"));
const opened: Forecaster[] = [];
after(async () => {
  for (const forecaster of opened) forecaster.close();
  await rm(scratch, { recursive: true, force: true });
});

type Change = (manifest: SeriesManifest) => { [K in keyof SeriesManifest]?: SeriesManifest[K] | undefined };

async function changed(name: string, change: Change): Promise<string> {
  const folder = join(scratch, name);
  await cp(COMMITTED, folder, { recursive: true });
  const manifest = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8")) as SeriesManifest;
  await writeFile(join(folder, "manifest.json"), sealed(JSON.stringify({ ...manifest, ...change(manifest) })));
  return folder;
}

async function open(modelDir: string): Promise<Forecaster> {
  const forecaster = await openForecaster({ modelDir, log });
  opened.push(forecaster);
  return forecaster;
}

function loads(services: number, steps: number) {
  const random = new SeededRandom(9);
  const history = new LoadHistory({ stepMs: STEP_MS });
  for (let s = 0; s < services; s++)
    for (let t = 0; t < steps; t++) {
      const rps = (s + 1) * (90 + 30 * Math.sin((2 * Math.PI * (t + 20 * s)) / SEASON) + 2 * random.normal());
      history.append(`s${s}`, t * STEP_MS, rps);
    }
  return { history, endMs: steps * STEP_MS };
}

const minutes = await changed("minutes", () => ({ step_ms: STEP_MS }));

test("a model of the pipeline answers through the same forecaster, with the levels and the horizon of its manifest", async () => {
  const { history, endMs } = loads(3, 4_000);
  const forecaster = await open(minutes);
  const { model, kind, reason } = forecaster.status();
  assert.deepEqual([model, kind, reason], ["ready", "series", null]);
  const forecasts = await forecaster.forecast(history, history.services, endMs);
  for (const forecast of forecasts.values()) {
    assert.equal(forecast.source, "model");
    assert.deepEqual([forecast.values.levels, forecast.values.steps], [9, 60]);
  }
});

test("it says what the same model says in a backtest on the same past", async () => {
  const { history, endMs } = loads(2, 4_000);
  const forecasts = await (await open(minutes)).forecast(history, history.services, endMs);
  const model = await SeriesModel.open(COMMITTED);
  try {
    for (const service of history.services) {
      const [expected] = await model.forecast([{ values: history.tail(service, endMs, 4_000) }]);
      const { values } = forecasts.get(service)!;
      for (const [q, row] of expected!.entries())
        for (const [h, value] of row.entries())
          assert.ok(Math.abs(values.at(q, h) - value) < 1e-9, `${service} level ${q} step ${h}`);
    }
  } finally {
    model.close();
  }
});

test("what came before the first reading is no past: too little of it is told, and a baseline answers", async () => {
  const { history, endMs } = loads(1, 400);
  const forecast = (await (await open(minutes)).forecast(history, ["s0", "unknown"], endMs)).get("s0")!;
  assert.notEqual(forecast.source, "model");
  assert.match(forecast.fallbackReasons[0]!, /^HISTORY_TOO_SHORT: the model needs \d+ steps of history$/);
});

const refusals: [string, string, Change][] = [
  ["no length of a step", "SCHEMA_MISMATCH", () => ({ step_ms: undefined })],
  ["a horizon that is no hour", "SCHEMA_MISMATCH", () => ({})],
  ["another schema", "SCHEMA_MISMATCH", () => ({ step_ms: STEP_MS, schema_hash: "0000000000000000" })],
  [
    "a gate that seasonal naive passes better",
    "MODEL_NOT_BETTER",
    ({ gate }) => ({
      step_ms: STEP_MS,
      gate: { ...gate, model: { ...gate.model, mase: gate.seasonal_naive.mase + 1 } },
    }),
  ],
  ["the hash of another file", "MODEL_HASH_MISMATCH", () => ({ step_ms: STEP_MS, sha256: "0".repeat(64) })],
  [
    "statistics whose edges do not ascend",
    "MANIFEST_INVALID",
    () => ({
      step_ms: STEP_MS,
      feature_statistics: {
        version: 1,
        rows: 3,
        features: [{ name: "step", edges: [2, 1], counts: [1, 1, 1], missing: 0 }],
      },
    }),
  ],
];
for (const [what, code, change] of refusals) {
  test(`a series model with ${what} may not steer: ${code}`, async () => {
    const folder = await changed(what.replaceAll(" ", "-"), change);
    await assert.rejects(
      readServedModel(folder),
      (thrown: { reason?: { code: string } }) => thrown.reason?.code === code,
    );
  });
}
