import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../features/seeded-random.ts";
import { lastWindows, scoreWindows, type WindowScores } from "../series/window-backtest.ts";
import { BASELINES } from "./all.ts";
import { baselineForecaster } from "./baseline-forecaster.ts";
import { naive, seasonalNaive } from "./naive.ts";

test("scores and areas of a case worked out by hand", async () => {
  // Season 2; the naive forecast of the window of two is the odd value before it.
  const series = Float64Array.from([10, 20, 10, 20, 10, 20, 30, 20]);
  const shape = { season: 2, horizon: 2, levels: [0.5] };
  const [simple, seasonal] = await Promise.all(
    [naive, seasonalNaive].map((one) =>
      scoreWindows(one.name, lastWindows(series, 2, 1), baselineForecaster(one, shape), shape),
    ),
  );
  // Of 50 that came, 10 were more than the last value and 20 more than a season before.
  assert.deepEqual(simple!.provision, { under: 10 / 50, over: 0 });
  assert.deepEqual(seasonal!.provision, { under: 20 / 50, over: 0 });
  // wQL at the median is Σ|e| / Σ|y|.
  assert.ok(Math.abs(simple!.wql - 10 / 50) < 1e-12);
  assert.ok(Math.abs(seasonal!.wql - 20 / 50) < 1e-12);
});

test("on a wave with a wandering level the seasonal methods lead", async () => {
  const random = new SeededRandom(7);
  let level = 0;
  const series = Float64Array.from({ length: 24 * 30 }, (_, t) => {
    level += random.normal();
    return 200 + 60 * Math.sin((2 * Math.PI * t) / 24) + level + random.normal();
  });
  const shape = { season: 24, horizon: 6, levels: [0.1, 0.5, 0.9] };
  const rows = new Map<string, WindowScores>();
  for (const one of BASELINES)
    rows.set(one.name, await scoreWindows(one.name, lastWindows(series, 6, 10), baselineForecaster(one, shape), shape));
  for (const { mase, wql, provision } of rows.values())
    assert.ok(Number.isFinite(mase) && Number.isFinite(wql) && provision.under >= 0 && provision.over > 0);
  for (const name of ["theta", "Holt damped", "day profile + EWMA"])
    assert.ok(rows.get(name)!.mase < rows.get("naive")!.mase, name);
});

test("a past that is too short is a fault of the caller", () => {
  const forecaster = baselineForecaster(seasonalNaive, { season: 18, horizon: 2, levels: [0.5] });
  assert.throws(() => forecaster(new Float64Array(16)), /a past of 16 is too short for seasonal naive/);
});
