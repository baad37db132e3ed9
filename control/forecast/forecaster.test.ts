import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { FEATURE_STEP_MS, STEPS_PER_DAY } from "../features/schema.ts";
import { LoadHistory } from "../ingest/load-history.ts";
import { type DemandForecast, peakDemand } from "./forecast.ts";
import { historyOf, one, open, scratch } from "./forecaster.fixture.ts";
import type { Forecaster } from "./forecaster.ts";

let sharedForecaster: Promise<Forecaster> | undefined;
/** One forecaster for tests that ask often. */
function shared(): Promise<Forecaster> {
  sharedForecaster ??= open();
  return sharedForecaster;
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
  for (const [i, at] of times.entries()) {
    const alone = await one(forecaster, history, at);
    assert.equal(together[i]!.issuedAtMs, alone.issuedAtMs);
    assert.deepEqual(together[i]!.values.rows(), alone.values.rows());
  }
});

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
        request.values.fill(1);
        parentPort.postMessage({ type: "result", id, result: { states: new Uint8Array(request.batch.count), histogram: null } });
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
  for (const [name, says] of [
    ["nan", "values.fill(NaN)"],
    ["huge", "values.fill(1e6)"],
    ["negative", "values.fill(-1)"],
    ["nothing", ""],
  ] as const) {
    const code = `parentPort.on("message", ({ id, request: { values } }) => {
        ${says};
        parentPort.postMessage({ type: "result", id, result: { states: new Uint8Array(1), histogram: null } });
      });
      parentPort.postMessage({ type: "ready" });`;
    const forecast = await one(await open({ workerUrl: await worker(name, code) }), history, endMs);
    assert.equal(forecast.source, "seasonal_naive");
    assert.match(forecast.fallbackReasons[0] ?? "", /^OUTPUT_GUARD: /);
  }
});
