import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { FEATURE_STEP_MS, RISING_FEATURES, STEPS_PER_DAY } from "../features/schema.ts";
import { type SyntheticLoadOptions, syntheticLoad } from "../features/synthetic-load.ts";
import { LoadHistory } from "../ingest/load-history.ts";
import { backtest } from "./backtest.ts";
import { type Manifest, manifestSchema } from "./demand-manifest.ts";
import { type DemandForecast, peakDemand } from "./forecast.ts";
import { type Forecaster, type ForecasterOptions, openForecaster } from "./forecaster.ts";

const committed = fileURLToPath(new URL("../../models/committed/demand", import.meta.url));
const log = { info: () => undefined, warn: () => undefined };
const scratch = await mkdtemp(join(tmpdir(), "ballast-forecast-"));
const opened: Forecaster[] = [];

after(async () => {
  for (const forecaster of opened) forecaster.close();
  await rm(scratch, { recursive: true, force: true });
});

async function open(options: Partial<ForecasterOptions> = {}): Promise<Forecaster> {
  const forecaster = await openForecaster({ modelDir: committed, log, ...options });
  opened.push(forecaster);
  return forecaster;
}

let sharedForecaster: Promise<Forecaster> | undefined;
/** One forecaster for tests that ask often. */
function shared(): Promise<Forecaster> {
  sharedForecaster ??= open();
  return sharedForecaster;
}

function historyOf(...all: SyntheticLoadOptions[]): { history: LoadHistory; endMs: number } {
  const history = new LoadHistory({ stepMs: FEATURE_STEP_MS });
  let endMs = 0;
  all.forEach((options, n) => {
    const { startMs, values } = syntheticLoad(options);
    values.forEach((value, i) => {
      history.append(`s${n}`, startMs + i * FEATURE_STEP_MS, value);
    });
    endMs = startMs + values.length * FEATURE_STEP_MS;
  });
  return { history, endMs };
}

/** A copy of the committed model with something wrong about it. */
async function spoiled(name: string, spoil: (dir: string, manifest: Manifest) => Promise<void>): Promise<string> {
  const dir = join(scratch, name);
  await cp(committed, dir, { recursive: true });
  await spoil(dir, JSON.parse(await readFile(join(dir, "manifest.json"), "utf8")) as Manifest);
  return dir;
}

async function writeManifest(dir: string, manifest: object): Promise<void> {
  await writeFile(join(dir, "manifest.json"), JSON.stringify(manifest));
}

async function one(
  forecaster: Forecaster,
  history: LoadHistory,
  nowMs: number,
  service = "s0",
): Promise<DemandForecast> {
  const forecast = (await forecaster.forecast(history, [service], nowMs)).get(service);
  assert.ok(forecast !== undefined);
  for (const [level, row] of forecast.values.rows().entries()) {
    row.forEach((value, h) => {
      assert.ok(Number.isFinite(value) && value >= 0);
      if (level > 0) assert.ok(value >= forecast.values.at(level - 1, h));
    });
  }
  return forecast;
}

test("the committed model answers for every service asked, aligned to the step", async () => {
  const { history, endMs } = historyOf(
    { seed: 1, days: 20 },
    { seed: 2, days: 20, meanRps: 4000 },
    { seed: 3, days: 20, meanRps: 0.5 },
  );
  const forecaster = await open();
  assert.deepEqual(forecaster.status().reason, null);
  const forecasts = await forecaster.forecast(history, history.services, endMs + 123_456);
  assert.deepEqual([...forecasts.keys()], ["s0", "s1", "s2"]);
  for (const [service, forecast] of forecasts) {
    assert.equal(forecast.source, "model");
    assert.deepEqual(forecast.fallbackReasons, []);
    assert.equal(forecast.issuedAtMs, endMs);
    assert.deepEqual([forecast.values.levels, forecast.values.steps], [forecast.levels.length, 12]);
    assert.equal(forecast.lastRps, history.tail(service, endMs, 1)[0]);
    assert.ok(forecast.lastRps! > 0 && peakDemand(forecast, 0.9) > 0.3 * forecast.lastRps!);
  }
  assert.equal(forecaster.status().model, "ready");
});

test("the same history gives the same forecast", async () => {
  const { history, endMs } = historyOf({ seed: 4, days: 16 });
  const forecaster = await open();
  const [first, second] = [await one(forecaster, history, endMs), await one(forecaster, history, endMs)];
  assert.deepEqual(first, second);
  assert.deepEqual(first.values.rows(), second.values.rows());
});

test("on Linux the threads of inference give way to the event loop", {
  skip: process.platform !== "linux",
}, async () => {
  await shared();
  // proc_pid_stat(5): the nice value is field 19, the 17th behind the name in brackets.
  const niceOf = async (thread: string): Promise<number> =>
    Number((await readFile(`/proc/self/task/${thread}/stat`, "utf8")).split(") ").at(-1)!.split(" ")[16]);
  const own = await niceOf(`${process.pid}`);
  // One of another test may end while this one reads.
  const all = await Promise.all((await readdir("/proc/self/task")).map((thread) => niceOf(thread).catch(() => null)));
  assert.ok(all.includes(Math.min(own + 5, 19)), `${all} beside ${own}`);
});

test("calls that overlap are answered one after the other, each for its own time", async () => {
  const { history, endMs } = historyOf({ seed: 4, days: 16 });
  const forecaster = await open();
  const times = [0, 3, 9].map((steps) => endMs - steps * FEATURE_STEP_MS);
  const together = await Promise.all(times.map((at) => one(forecaster, history, at)));
  for (const [i, at] of times.entries()) assert.deepEqual(together[i], await one(forecaster, history, at));
});

test("exported rows give the outputs that the trained booster gave", async () => {
  const parity = JSON.parse(await readFile(join(committed, "parity.json"), "utf8")) as {
    rows: (number | null)[][];
    log_ratio: number[][];
  };
  const session = await InferenceSession.create(join(committed, "demand.onnx"));
  const rows = Float32Array.from(parity.rows.flat(), (value) => value ?? Number.NaN);
  assert.ok(rows.some(Number.isNaN), "golden rows with missing values");
  const fed = new Tensor("float32", rows, [parity.rows.length, parity.rows[0]!.length]);
  const actual = (await session.run({ features: fed })).log_ratio!.data as Float32Array;
  parity.log_ratio.flat().forEach((expected, i) => {
    assert.ok(Math.abs(actual[i]! - expected) < 1e-5, `output ${i}: ${actual[i]} instead of ${expected}`);
  });
});

test("more in an input that the manifest calls rising never gives less, at any level", async () => {
  const read = async (name: string) => JSON.parse(await readFile(join(committed, name), "utf8"));
  const { training, features, levels } = manifestSchema.parse(await read("manifest.json"));
  const { rows } = (await read("parity.json")) as { rows: (number | null)[][] };
  assert.deepEqual(training.rising, [...RISING_FEATURES]);
  const session = await InferenceSession.create(join(committed, "demand.onnx"));
  // Log ratios are cut off at ±5.
  const steps = Array.from({ length: 101 }, (_, step) => (step - 50) / 10);
  for (const name of training.rising) {
    const column = features.indexOf(name);
    const asked = rows.flatMap((row) => steps.flatMap((value) => row.with(column, value)));
    const fed = Float32Array.from(asked, (value) => value ?? Number.NaN);
    const said = await session.run({
      features: new Tensor("float32", fed, [rows.length * steps.length, features.length]),
    });
    const told = said.log_ratio!.data as Float32Array;
    let rises = 0;
    told.forEach((z, i) => {
      if (Math.floor(i / levels.length) % steps.length === 0) return;
      const before = told[i - levels.length]!;
      assert.ok(z >= before - 1e-6, `${name}: ${before}, then ${z}`);
      if (z > before + 1e-6) rises++;
    });
    assert.ok(rises > 0, `${name} moves nothing`);
  }
});

const refusals: [string, string, (dir: string, manifest: Manifest) => Promise<void>][] = [
  ["a deleted folder", "MODEL_MISSING", (dir) => rm(dir, { recursive: true })],
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

test("the baseline chain is answered by seasonal naive although the model is ready", async () => {
  const { history, endMs } = historyOf({ seed: 5, days: 16 });
  const forecasts = await (await open()).forecast(history, ["s0"], endMs, { chain: "baseline" });
  assert.equal(forecasts.get("s0")?.source, "seasonal_naive");
  assert.match(forecasts.get("s0")?.fallbackReasons[0] ?? "", /^MODEL_NOT_ASKED/);
});

test("with less and less history the chain falls from model to last to none, and says why", async () => {
  const { history, endMs } = historyOf({ seed: 6, days: 16 });
  const forecaster = await open();
  const startMs = endMs - 16 * 86_400_000;
  const at = async (hours: number): Promise<DemandForecast> => one(forecaster, history, startMs + hours * 3_600_000);
  assert.equal((await at(30)).source, "model");
  const daily = await at(26);
  assert.equal(daily.source, "seasonal_naive");
  assert.match(daily.fallbackReasons.join("; "), /HISTORY_TOO_SHORT.*over a week: no load was seen one season before/);
  assert.match(daily.fallbackReasons.join("; "), /theta: two days of load are needed/);
  const last = await at(3);
  assert.equal(last.source, "last");
  assert.equal(last.values.at(1, 0), last.lastRps);
  const none = await at(0);
  assert.equal(none.source, "none");
  assert.equal(none.lastRps, null);
  assert.match(none.fallbackReasons.at(-1) ?? "", /last value: no load was seen in the last hour/);
  assert.equal((await one(forecaster, history, endMs, "unknown")).source, "none");
});

test("without a model and without a week to look back to, theta answers with levels that hold its past errors", async () => {
  const { history, endMs } = historyOf({ seed: 6, days: 4 });
  const forecast = await one(await open({ modelDir: "" }), history, endMs);
  assert.equal(forecast.source, "theta");
  assert.match(forecast.fallbackReasons.join("; "), /^MODEL_MISSING: .*seasonal naive over a week: no load was seen/);
  const [low, median, high] = forecast.values.rows();
  assert.ok(low![11]! < median![11]! && median![11]! < high![11]!);
});

test("a history that stopped two hours ago is stale for the model; the season still answers", async () => {
  const { history, endMs } = historyOf({ seed: 6, days: 16 });
  const forecast = await one(await open(), history, endMs + 2 * 3_600_000);
  assert.equal(forecast.source, "seasonal_naive");
  assert.match(forecast.fallbackReasons[0] ?? "", /^HISTORY_STALE/);
});

test("after a gap of four hours two new readings bring the model back, and it is still better than the season", async () => {
  const { history } = historyOf({ seed: 6, days: 23 });
  const startMs = Date.UTC(2026, 0, 19);
  const errors = { model: 0, baseline: 0 };
  for (let hour = 0; hour < 36; hour++) {
    const at = startMs + 21 * 86_400_000 + hour * 3_600_000;
    const cut = new LoadHistory({ stepMs: FEATURE_STEP_MS });
    const tail = history.tail("s0", at, 21 * STEPS_PER_DAY);
    tail.fill(Number.NaN, tail.length - 50, tail.length - 2);
    for (const [i, value] of tail.entries()) {
      if (!Number.isNaN(value)) cut.append("s0", at + (i - tail.length) * FEATURE_STEP_MS, value);
    }
    const observed = history.tail("s0", at + 3_600_000, 12);
    const forecaster = await shared();
    for (const chain of ["model", "baseline"] as const) {
      const forecast = (await forecaster.forecast(cut, ["s0"], at, { chain })).get("s0")!;
      assert.equal(forecast.source, chain === "model" ? "model" : "seasonal_naive");
      observed.forEach((rps, h) => {
        errors[chain] += Math.abs(rps - forecast.values.at(1, h));
      });
    }
  }
  assert.ok(errors.model < errors.baseline, JSON.stringify(errors));
});

test("one service's bad history does not take the model from the others", async () => {
  const { history, endMs } = historyOf({ seed: 1, days: 16 }, { seed: 2, days: 16 });
  const forecasts = await (await open()).forecast(history, ["unknown", "s0", "s1"], endMs);
  assert.deepEqual(
    [...forecasts.values()].map((forecast) => forecast.source),
    ["none", "model", "model"],
  );
});

test("a history of another step is not for the model", async () => {
  const history = new LoadHistory({ stepMs: 60_000 });
  for (let i = 0; i < 3_000; i++) history.append("s0", i * 60_000, 10 + (i % 7));
  const forecast = await one(await open(), history, 3_000 * 60_000);
  assert.equal(forecast.source, "theta");
  assert.match(forecast.fallbackReasons[0] ?? "", /^STEP_MISMATCH/);
});

async function worker(name: string, code: string): Promise<URL> {
  const file = join(scratch, `${name}.mjs`);
  await writeFile(file, `import { parentPort } from "node:worker_threads";\n${code}`);
  return pathToFileURL(file);
}

test("a worker that hangs is given up at the time limit; after three failures the model is left alone, then tried again", async () => {
  const { history, endMs } = historyOf({ seed: 7, days: 16 });
  let now = 0;
  const workerUrl = await worker(
    "hangs",
    `parentPort.on("message", () => {}); parentPort.postMessage({ type: "ready" });`,
  );
  const forecaster = await open({ workerUrl, timeoutMs: 20, pauseMs: 1_000, monotonicMs: () => now });
  const codes: (string | undefined)[] = [];
  for (const at of [0, 1, 2, 3, 999, 1_002]) {
    now = at;
    const forecast = await one(forecaster, history, endMs);
    assert.equal(forecast.source, "seasonal_naive");
    codes.push(forecast.fallbackReasons[0]?.split(":")[0]);
  }
  assert.deepEqual(codes, [
    "INFERENCE_TIMEOUT",
    "INFERENCE_TIMEOUT",
    "INFERENCE_TIMEOUT",
    "MODEL_PAUSED",
    "MODEL_PAUSED",
    "INFERENCE_TIMEOUT",
  ]);
  assert.equal(forecaster.status().model, "paused");
});

test("while the first answer takes long, the rest of the chain is told for those who have nothing, with the reason", async () => {
  const { history, endMs } = historyOf({ seed: 7, days: 16 }, { seed: 8, days: 16 });
  const answer = new BroadcastChannel("answer");
  // It answers once the chain was told.
  const workerUrl = await worker(
    "warms",
    `const held = [];
    new BroadcastChannel("answer").onmessage = () => {
      for (const { id, request } of held.splice(0)) {
        const values = new Float64Array(request.batch.count * 48).fill(1);
        parentPort.postMessage({ type: "result", id, result: { values, states: new Uint8Array(request.batch.count), histogram: null } });
      }
    };
    parentPort.on("message", (message) => held.push(message));
    parentPort.postMessage({ type: "ready" });`,
  );
  const forecaster = await open({ workerUrl });
  const told: DemandForecast[] = [];
  const tell = (forecast: DemandForecast): void => {
    told.push(forecast);
    answer.postMessage("now");
  };
  const forecasts = await forecaster.forecast(history, ["s0", "s1"], endMs, {
    meanwhile: { services: ["s1"], afterMs: 0, tell },
  });
  answer.close();
  assert.deepEqual(
    told.map(({ service, source }) => [service, source]),
    [["s1", "seasonal_naive"]],
  );
  assert.match(told[0]!.fallbackReasons[0]!, /^MODEL_WARMING: /);
  assert.deepEqual(
    [...forecasts.values()].map(({ source }) => source),
    ["model", "model"],
  );
});

test("a worker that throws, exits or cannot load the runtime costs the model, never the forecast", async () => {
  const { history, endMs } = historyOf({ seed: 7, days: 16 });
  const ready = `parentPort.postMessage({ type: "ready" });`;
  const cases: [string, string, string][] = [
    ["throws", `${ready} parentPort.on("message", () => { throw new Error("boom"); });`, "INFERENCE_FAILED"],
    ["exits", `${ready} parentPort.on("message", () => process.exit(1));`, "INFERENCE_FAILED"],
    ["dies-at-start", `throw new Error("boom");`, "INFERENCE_FAILED"],
    [
      "no-runtime",
      `parentPort.postMessage({ type: "failed", code: "RUNTIME_UNAVAILABLE", text: "no binary" });`,
      "RUNTIME_UNAVAILABLE",
    ],
  ];
  for (const [name, code, expected] of cases) {
    const forecast = await one(await open({ workerUrl: await worker(name, code) }), history, endMs);
    assert.equal(forecast.source, "seasonal_naive", name);
    assert.match(forecast.fallbackReasons[0] ?? "", new RegExp(`^${expected}: `), name);
  }
});

test("outputs that make no sense are refused by the guard", async () => {
  const { history, endMs } = historyOf({ seed: 7, days: 16 });
  for (const [name, value] of [
    ["nan", "NaN"],
    ["huge", "1e6"],
    ["negative", "-1"],
  ] as const) {
    const code = `parentPort.on("message", ({ id, request }) => parentPort.postMessage({ type: "result", id, result: { values: new Float64Array(48).fill(${value}), states: new Uint8Array(1), histogram: null } }));
      parentPort.postMessage({ type: "ready" });`;
    const forecast = await one(await open({ workerUrl: await worker(name, code) }), history, endMs);
    assert.equal(forecast.source, "seasonal_naive");
    assert.match(forecast.fallbackReasons[0] ?? "", /^OUTPUT_GUARD: /);
  }
});

test("on load it has never seen the model beats weekly and daily seasonal naive, and its levels cover what they say", async () => {
  const { history, endMs } = historyOf({ seed: 21, days: 35 }, { seed: 22, days: 35, noise: 0.1 });
  const { source, scores } = await backtest(await open(), history, {
    services: history.services,
    fromMs: endMs - 5 * 86_400_000,
    toMs: endMs,
  });
  assert.equal(source, "model");
  const { model, seasonal_naive_weekly: weekly, seasonal_naive_daily: daily } = scores;
  assert.ok(model.mase < 0.85 * Math.min(weekly.mase, daily.mase), `${model.mase}, ${weekly.mase}, ${daily.mase}`);
  assert.ok(model.wql < weekly.wql);
  assert.ok(model.coverage[2]! > 0.8 && model.coverage[2]! < 0.97, `${model.coverage}`);
});

for (const [shiftSteps, shiftedDays] of [
  [-12, 3],
  [-24, 2],
  [-36, 3],
  [24, 3],
] as const) {
  test(`when the daily rhythm moved by ${shiftSteps / 12} h ${shiftedDays} days ago, the model foresees the morning edge and weekly seasonal naive does not`, async () => {
    const days = 28 + 4;
    const { history } = historyOf({
      seed: 31,
      days,
      peakShiftFromDay: days - 1 - shiftedDays,
      peakShiftSteps: shiftSteps,
      startMs: Date.UTC(2026, 0, 19),
    });
    const dayMs = Date.UTC(2026, 0, 19) + (days - 1) * 86_400_000;
    const forecaster = await open();
    const today = history.tail("s0", dayMs + 86_400_000, STEPS_PER_DAY);
    const morning = today.subarray(0, 13 * 12);
    const threshold = (Math.min(...morning) + Math.max(...morning)) / 2;
    const actual = morning.findIndex((rps) => rps > threshold);
    // First step of the day at which the median of the coming hour exceeds the threshold.
    const foreseen = async (chain: "model" | "baseline"): Promise<number> => {
      for (let step = 3 * 12; step < 20 * 12; step++) {
        const forecast = (await forecaster.forecast(history, ["s0"], dayMs + step * FEATURE_STEP_MS, { chain })).get(
          "s0",
        )!;
        if (peakDemand(forecast, 0.5) > threshold) return step;
      }
      return Number.POSITIVE_INFINITY;
    };
    const model = await foreseen("model");
    const baseline = await foreseen("baseline");
    assert.ok(model < actual && model >= actual - 15, `model at step ${model}, load rose at ${actual}`);
    if (shiftSteps < 0)
      assert.ok(model <= baseline + shiftSteps / 2, `model at step ${model}, baseline at ${baseline}`);
    else assert.ok(baseline < actual - 15, `baseline cries wolf at step ${baseline}, load rose at ${actual}`);
  });
}
