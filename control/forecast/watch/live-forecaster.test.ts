import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { FEATURE_STEP_MS } from "../../features/schema.ts";
import { SeededRandom } from "../../features/seeded-random.ts";
import { signStatistics } from "../../features/series/load-signs.ts";
import { syntheticLoad } from "../../features/synthetic-load.ts";
import { LoadHistory } from "../../ingest/load-history.ts";
import type { DemandForecast } from "../forecast.ts";
import { sealed } from "../manifest-seal.ts";
import { type DriftPolicy, LiveForecaster } from "./live-forecaster.ts";
import type { BoardState } from "./shadow-board.ts";

const committed = fileURLToPath(new URL("../../../models/committed/demand", import.meta.url));
const log = { info: () => undefined, warn: () => undefined };
const RULES = { minWindows: 24, margin: 0.02 };
const scratch = await mkdtemp(join(tmpdir(), "ballast-live-"));
const opened: LiveForecaster[] = [];
after(async () => {
  for (const one of opened) one.close();
  await rm(scratch, { recursive: true, force: true });
});

async function open(modelDir: string, drift: DriftPolicy = "warn", onScored?: (state: BoardState) => void) {
  const live = await LiveForecaster.open({ modelDir, log, drift, ...(onScored === undefined ? {} : { onScored }) });
  opened.push(live);
  return live;
}

function loads(days: number, change: (rps: number, step: number) => number = (rps) => rps) {
  const history = new LoadHistory({ stepMs: FEATURE_STEP_MS });
  let endMs = 0;
  for (const seed of [1, 2, 3]) {
    const { startMs, values } = syntheticLoad({ seed, days });
    values.forEach((value, i) => {
      history.append(`s${seed}`, startMs + i * FEATURE_STEP_MS, change(value, i));
    });
    endMs = startMs + values.length * FEATURE_STEP_MS;
  }
  return { history, endMs };
}

/** Serves every step of a span, as the control loop does. */
async function serveSpan(live: LiveForecaster, history: LoadHistory, fromMs: number, steps: number) {
  let last: ReadonlyMap<string, DemandForecast> = new Map();
  for (let step = 0; step < steps; step++) {
    last = await live.forecast(history, history.services, fromMs + step * FEATURE_STEP_MS);
    await live.settled();
  }
  return last;
}

test("a candidate beside the baselines is scored hour by hour on what then happened, and earns its promotion", async () => {
  const { history, endMs } = loads(20);
  const kept: BoardState[] = [];
  const live = await open("", "warn", (state) => kept.push(state));
  assert.equal(await live.shadow(committed), null);
  const fromMs = endMs - 30 * 12 * FEATURE_STEP_MS;
  const forecasts = await serveSpan(live, history, fromMs, 13);
  // It forecasts beside what steers: nothing that is answered comes from it.
  assert.ok([...forecasts.values()].every(({ source }) => source === "seasonal_naive"));
  assert.match(live.comparison(RULES)!.missing[0]!, /^1 windows are scored, 24 are needed$/);
  await serveSpan(live, history, fromMs + 13 * FEATURE_STEP_MS, 27 * 12);
  const comparison = live.comparison(RULES)!;
  assert.ok(comparison.windows >= 24 && comparison.active.steps === comparison.candidate.steps);
  assert.ok(comparison.candidate.mase < comparison.seasonalNaive.mase, JSON.stringify(comparison));
  assert.deepEqual(comparison.missing, []);
  assert.ok(comparison.won > comparison.windows / 2);

  // A server that starts again goes on with the windows it has.
  const again = await open("");
  await again.shadow(committed, JSON.parse(JSON.stringify(kept.at(-1))));
  // What was asked since the last window was scored is not written down yet.
  assert.deepEqual({ ...again.comparison(RULES), asked: comparison.asked }, comparison);
  // Windows of other models say nothing of this one.
  const other = await open(committed);
  await other.shadow(committed, kept.at(-1));
  assert.equal(other.comparison(RULES)!.windows, 0);
});

test("a candidate that is no better than what steers by the margin may not be proposed, and is told by how much", async () => {
  const { history, endMs } = loads(20);
  const live = await open(committed);
  await live.shadow(committed);
  await serveSpan(live, history, endMs - 26 * 12 * FEATURE_STEP_MS, 25 * 12 + 1);
  const { missing, windows } = live.comparison(RULES)!;
  assert.ok(windows >= 24);
  assert.match(missing.join("; "), /its wQL of [\d.]+ is not 2 % below [\d.]+, that of what steers/);
});

test("a candidate whose answers are refused is not scored where it fails: it is told why, and may not be proposed", async () => {
  const { history, endMs } = loads(20);
  /** Answers with nonsense every other time. */
  const worker = `
    const { parentPort } = require("node:worker_threads");
    let asked = 0;
    parentPort.on("message", ({ id, request: { batch, values } }) => {
      values.fill(asked++ % 2 === 0 ? NaN : 50);
      parentPort.postMessage({ type: "result", id, result: { states: new Uint8Array(batch.count), histogram: null } });
    });
    parentPort.postMessage({ type: "ready" });`;
  const workerUrl = join(scratch, "every-other.cjs");
  await writeFile(workerUrl, worker);
  const kept: BoardState[] = [];
  const onScored = (state: BoardState): void => void kept.push(state);
  const live = await LiveForecaster.open({
    modelDir: "",
    log,
    drift: "off",
    workerUrl: pathToFileURL(workerUrl),
    onScored,
  });
  opened.push(live);
  assert.equal(await live.shadow(committed), null);
  await serveSpan(live, history, endMs - 10 * 12 * FEATURE_STEP_MS, 8 * 12 + 1);
  const rules = { minWindows: 1, margin: 0 };
  const { windows, asked, missing } = live.comparison(rules)!;
  assert.deepEqual([windows, asked.asked, asked.failed, asked.unanswered], [4, 27, 15, 15]);
  const why = "OUTPUT_GUARD: the model's output was refused: a value at step 1 is NaN";
  assert.equal(asked.reason, why);
  assert.ok(
    missing.includes(`it failed to answer 15 of 27 times, at most 5 % are allowed (${why})`),
    missing.join("\n"),
  );
  // A server that starts again has not forgotten it.
  const again = await open("");
  await again.shadow(committed, JSON.parse(JSON.stringify(kept.at(-1))));
  assert.ok(again.comparison(rules)!.asked.failed >= 12);
});

test("an activated candidate answers from the next forecast on; one that may not answer leaves the former in place", async () => {
  const { history, endMs } = loads(16);
  const live = await open("");
  assert.equal(live.status().model, "refused");
  assert.equal(await live.activate(committed), null);
  const sources = async () =>
    [...(await live.forecast(history, history.services, endMs)).values()].map(({ source }) => source);
  assert.deepEqual(await sources(), ["model", "model", "model"]);
  const spoiled = join(scratch, "spoiled");
  await cp(committed, spoiled, { recursive: true });
  const bytes = await readFile(join(spoiled, "demand.onnx"));
  bytes[100]! ^= 1;
  await writeFile(join(spoiled, "demand.onnx"), bytes);
  assert.equal((await live.activate(spoiled))?.code, "MODEL_HASH_MISMATCH");
  assert.deepEqual(await sources(), ["model", "model", "model"]);
  assert.equal((await live.shadow(spoiled))?.code, "MODEL_HASH_MISMATCH");
  assert.equal(live.status().shadow, null);
});

for (const policy of ["warn", "fallback"] as const) {
  test(`a load that turns into what training never saw is drift; the policy ${policy} ${policy === "warn" ? "only says so" : "lets the baselines answer"}`, async () => {
    const days = 20;
    const turn = (days - 3) * 288;
    const { history, endMs } = loads(days, (rps, step) =>
      step < turn ? rps : Math.floor(step / 6) % 2 === 0 ? rps * 5 : rps / 5,
    );
    const live = await open(committed, policy);
    const before = await serveSpan(live, history, endMs - 4 * 86_400_000, 10);
    assert.ok([...before.values()].every(({ source }) => source === "model"));
    assert.equal(live.status().drift.verdict, "warming");
    const during = await serveSpan(live, history, endMs - 2 * 86_400_000, 360);
    const { drift } = live.status();
    assert.equal(drift.verdict, "drifted", JSON.stringify(drift));
    assert.match(drift.text ?? "", /inputs are far from training|from the backtest/);
    for (const { source, fallbackReasons } of during.values()) {
      assert.equal(source, policy === "warn" ? "model" : "seasonal_naive");
      if (policy === "fallback") assert.match(fallbackReasons[0]!, /^MODEL_DRIFTED: \d+ of 28 inputs/);
    }
  });
}

test("gaps in the loads of a series model, whose inputs do not show them, are drift once half a season has them", async () => {
  // The committed one looks an hour ahead on loads by the minute.
  const folder = join(scratch, "minutes");
  const season = 360;
  const stepMs = 60_000;
  await cp(fileURLToPath(new URL("../../../models/committed/robot-shop", import.meta.url)), folder, {
    recursive: true,
  });
  const random = new SeededRandom(4);
  const load = (t: number) => 90 + 30 * Math.sin((2 * Math.PI * t) / season) + 2 * random.normal();
  const trained = signStatistics([{ values: Float64Array.from({ length: 12 * season }, (_, t) => load(t)) }], season);
  const manifest = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
  await writeFile(
    join(folder, "manifest.json"),
    sealed(JSON.stringify({ ...manifest, step_ms: stepMs, load_statistics: trained })),
  );
  const live = await open(folder);
  const history = new LoadHistory({ stepMs });
  const [turn, end] = [10 * season, 12 * season];
  for (let t = 0; t < end; t++) if (t < turn || t % 4 !== 0) history.append("a", t * stepMs, load(t));
  const verdictAt = async (from: number, to: number) => {
    for (let t = from; t < to; t += 60) {
      await live.forecast(history, ["a"], t * stepMs);
      await live.settled();
    }
    return live.status().drift;
  };
  const before = await verdictAt(6 * season, turn);
  assert.equal(before.signs.length, 4);
  // Inputs are judged after a week.
  assert.deepEqual([before.verdict, before.text], ["warming", null], JSON.stringify(before));
  const after = await verdictAt(turn, end);
  assert.equal(after.verdict, "drifted", JSON.stringify(after));
  assert.match(after.text!, /^loads are beyond what training saw \(gaps/);
});
