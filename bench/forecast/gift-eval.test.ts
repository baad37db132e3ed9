import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import fc from "fast-check";
import { bootstrapInterval } from "../../control/forecast/series/bootstrap.ts";
import {
  naive as naiveQuantiles,
  seasonalNaive as seasonalNaiveQuantiles,
} from "../../control/forecast/series/naive.ts";
import {
  dataFolder,
  type Forecaster,
  loadPublished,
  loadWindows,
  rankOf,
  score,
  TASK,
  windowsOf,
} from "./gift-eval.ts";
import { GIFT_EVAL_LEVELS, mase, type Scored, weightedQuantileLoss } from "./metrics.ts";

const naive: Forecaster = (_series, past, horizon) => naiveQuantiles(past, horizon, GIFT_EVAL_LEVELS);
const seasonalNaive =
  (season: number): Forecaster =>
  (_series, past, horizon) =>
    seasonalNaiveQuantiles(past, horizon, GIFT_EVAL_LEVELS, season);
const data = `${dataFolder()}/bizitobs/Application.csv`;
const skip = !existsSync(data) && (process.env.CI ?? "") === "" ? `no reference data at ${data}` : false;

describe("the Robot-Shop task", { skip }, () => {
  test("reproduces the published MASE and wQL of naive and seasonal naive", () => {
    const windows = loadWindows();
    const published = new Map(loadPublished().map((row) => [row.model, row]));
    for (const [model, forecaster] of [
      ["naive", naive],
      ["seasonal_naive", seasonalNaive(TASK.season)],
    ] as const) {
      const scored = score(windows, forecaster);
      assert.ok(Math.abs(mase(scored) - published.get(model)!.mase) < 1e-5, model);
      assert.ok(Math.abs(weightedQuantileLoss(scored) - published.get(model)!.wql) < 1e-6, model);
    }
  });

  test("reads 117 published rows, also those whose columns are moved", () => {
    const rows = loadPublished();
    assert.equal(rows.length, 117);
    assert.equal(rows.find((row) => row.model === "Taichu-TimeSeries-Agent")?.mase.toFixed(4), "0.9570");
    assert.equal(rows.find((row) => row.model === "STRIDE (+Timer-S1)")?.mase.toFixed(4), "1.1341");
    assert.ok(rows.every((row) => row.wql < row.mase));
  });
});

describe("windows", () => {
  test("are the last tenth, without overlap, each with all that came before", () => {
    fc.assert(
      fc.property(fc.integer({ min: 700, max: 20_000 }), (length) => {
        const values = Float64Array.from({ length }, (_, t) => t);
        const windows = windowsOf("s", values);
        assert.equal(windows.at(-1)!.actual.at(-1), length - 1);
        for (const [k, { past, actual }] of windows.entries()) {
          assert.equal(actual[0], past.length);
          assert.equal(actual.length, TASK.horizon);
          if (k > 0) assert.equal(actual[0], windows[k - 1]!.actual.at(-1)! + 1);
        }
        assert.ok(windows.length === 20 || Math.abs(windows.length * TASK.horizon - length / 10) < TASK.horizon);
      }),
    );
  });

  test("a forecaster that writes into its past does not change what the next one sees", () => {
    const windows = windowsOf(
      "s",
      Float64Array.from({ length: 900 }, (_, t) => Math.sin(t) + 2),
    );
    const before = score(windows, naive).map((s) => s.quantiles[4]![0]);
    score(windows, (series, past, horizon) => {
      past.fill(0);
      return naive(series, past, horizon);
    });
    assert.deepEqual(
      score(windows, naive).map((s) => s.quantiles[4]![0]),
      before,
    );
  });
});

describe("metrics", () => {
  const flat = (value: number, n = 3): Float64Array => new Float64Array(n).fill(value);
  const scored = (actual: number, forecast: number): Scored => ({
    series: "s",
    window: 0,
    actual: flat(actual),
    quantiles: GIFT_EVAL_LEVELS.map(() => flat(forecast)),
    scale: 2,
  });

  test("a perfect forecast scores nought, and an error counts in units of the seasonal error", () => {
    assert.equal(mase([scored(10, 10)]), 0);
    assert.equal(weightedQuantileLoss([scored(10, 10)]), 0);
    assert.equal(mase([scored(10, 14)]), 2);
    assert.ok(
      Math.abs(weightedQuantileLoss([scored(10, 14)]) - 0.4) < 1e-12,
      "all quantiles equal: wQL is Σ|e| / Σ|y|",
    );
  });

  test("quantile loss is least at the true quantiles", () => {
    const actual = Float64Array.from({ length: 999 }, (_, i) => (i + 1) / 10);
    const at = (shift: number): number =>
      weightedQuantileLoss([
        {
          series: "s",
          window: 0,
          actual,
          quantiles: GIFT_EVAL_LEVELS.map((q) => flat(100 * q + shift, 999)),
          scale: 1,
        },
      ]);
    assert.ok(at(0) < at(2) && at(0) < at(-2));
  });

  test("ranks count from one and leave ties to the published row", () => {
    assert.equal(rankOf(0.5, [1, 2]), 1);
    assert.equal(rankOf(1, [1, 2]), 2);
    assert.equal(rankOf(3, [1, 2]), 3);
  });

  test("the bootstrap gives the same interval for the same seed and holds the mean of what it draws from", () => {
    const groups = Array.from({ length: 15 }, (_, i) => [i]);
    const mean = (xs: number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;
    const [low, high] = bootstrapInterval(groups, mean);
    assert.deepEqual(bootstrapInterval(groups, mean), [low, high]);
    assert.ok(low < 7 && 7 < high && low > 3 && high < 11);
  });
});
