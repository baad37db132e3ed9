import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { FEATURE_STEP_MS, RISING_FEATURES, STEPS_PER_DAY } from "../features/schema.ts";
import { backtest } from "./backtest.ts";
import { manifestSchema } from "./demand-manifest.ts";
import { peakDemand } from "./forecast.ts";
import { committed, historyOf, open } from "./forecaster.fixture.ts";

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
