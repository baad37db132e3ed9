import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom } from "../../features/seeded-random.ts";
import { backtestPage } from "./backtest-page.ts";
import { naive, seasonalNaive } from "./naive.ts";
import { lastWindows, scoreWindows } from "./window-backtest.ts";

const levels = [0.1, 0.5, 0.9];
const random = new SeededRandom(2);
const values = Float64Array.from(
  { length: 400 },
  (_, t) => 50 + 20 * Math.sin((2 * Math.PI * t) / 24) + random.normal(),
);

describe("windows of a backtest", () => {
  test("are the last steps, and each sees all before it and nothing of itself", () => {
    const windows = lastWindows(values, 12, 5);
    assert.deepEqual(
      windows.map(({ past }) => past.length),
      [340, 352, 364, 376, 388],
    );
    assert.equal(windows[4]!.actual.at(-1), values.at(-1));
    assert.deepEqual([...windows[1]!.past.subarray(340)], [...windows[0]!.actual]);
  });

  test("a forecaster that writes into its past changes nothing for the next one", async () => {
    const windows = lastWindows(values, 12, 5);
    const options = { season: 24, levels };
    const before = await scoreWindows("n", windows, (past) => naive(past, 12, levels), options);
    await scoreWindows("x", windows, (past) => naive(past.fill(9), 12, levels), options);
    assert.deepEqual(await scoreWindows("n", windows, (past) => naive(past, 12, levels), options), before);
  });

  test("scores are those of the definitions", async () => {
    const flat = Float64Array.from({ length: 50 }, (_, t) => t % 2);
    // Naive says 1 (the last value of each past is at an odd step), so half of the steps are wrong by 1; the seasonal error of season 1 is 1.
    const scored = await scoreWindows("n", lastWindows(flat, 10, 2), (past) => naive(past, 10, [0.5]), {
      season: 1,
      levels: [0.5],
    });
    assert.ok(Math.abs(scored.mase - 0.5) < 1e-12);
    assert.deepEqual(scored.interval, [0.5, 0.5]);
    assert.ok(Math.abs(scored.wql - 1) < 1e-12, "Σ|e| / Σ|y| = 10 / 10");
  });

  test("steps without a reading are not scored", async () => {
    const gaps = values.map((value, t) => (t >= 388 && t % 2 === 0 ? Number.NaN : value));
    const scored = await scoreWindows("n", lastWindows(gaps, 12, 1), (past) => naive(past, 12, levels), {
      season: 24,
      levels,
    });
    assert.equal(scored.count, 6);
    assert.ok(Number.isFinite(scored.mase));
  });
});

describe("naive forecasts", () => {
  test("hold the last value and the last season, and their levels ascend and widen", () => {
    const last = naive(values, 30, levels);
    const season = seasonalNaive(values, 30, levels, 24);
    for (let h = 0; h < 30; h++) {
      assert.ok(Math.abs(last[1]![h]! - values[399]!) < 1e-9);
      assert.ok(Math.abs(season[1]![h]! - values[400 - 24 + (h % 24)]!) < 1e-9);
      assert.ok(last[0]![h]! < last[1]![h]! && last[1]![h]! < last[2]![h]!);
    }
    assert.ok(last[2]![29]! - last[1]![29]! > 5 * (last[2]![0]! - last[1]![0]!) * 0.9);
    assert.throws(() => seasonalNaive(values.subarray(0, 24), 5, levels, 24), /no season/);
  });

  test("normal quantiles are those of the tables", () => {
    const past = Float64Array.from({ length: 1_001 }, (_, t) => t % 2);
    const [low, , high] = seasonalNaive(past, 1, [0.01, 0.5, 0.99], 1);
    assert.ok(Math.abs(high![0]! - 2.3263478740408408) < 1e-6 && Math.abs(low![0]! + 2.3263478740408408) < 1e-6);
  });
});

test("the page escapes what a file calls itself and draws each window", async () => {
  const windows = lastWindows(values, 12, 3);
  const row = await scoreWindows("naive", windows, (past) => naive(past, 12, levels), { season: 24, levels });
  const content = { title: "<script>x</script>", facts: ["a <b> & c"], rows: [row], shown: row, windows };
  const page = backtestPage({ ...content, timeOf: (step) => `step ${step}` });
  assert.ok(!page.includes("<script") && page.includes("a &#60;b&#62; &#38; c"));
  assert.equal(page.match(/<svg/g)?.length, 3);
  assert.match(page, /window 1, step 364 … step 375, MASE \d/);
  assert.match(backtestPage({ ...content, timeOf: null }), /window 1, MASE \d/);
});
