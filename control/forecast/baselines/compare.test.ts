import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../features/seeded-random.ts";
import { BASELINES } from "./all.ts";
import { compareBaselines } from "./compare.ts";
import { naive, seasonalNaive } from "./naive.ts";

test("scores and areas of a case worked out by hand", async () => {
  // Season 2; the naive forecast of each window of two is the odd value before it.
  const series = Float64Array.from([10, 20, 10, 20, 10, 20, 30, 20]);
  const rows = await compareBaselines(series, {
    season: 2,
    horizon: 2,
    windows: 1,
    levels: [0.5],
    stepMs: 10_000,
    baselines: [naive, seasonalNaive],
  });
  const of = (name: string) => rows.find((row) => row.name === name)!;
  assert.equal(of("naive").under, 100);
  assert.equal(of("naive").over, 0);
  assert.equal(of("seasonal naive").under, 200);
  // wQL at the median is Σ|e| / Σ|y|.
  assert.ok(Math.abs(of("naive").wql - 10 / 50) < 1e-12);
  assert.ok(Math.abs(of("seasonal naive").wql - 20 / 50) < 1e-12);
});

test("on a wave with a wandering level the seasonal methods lead and the table is in order", async () => {
  const random = new SeededRandom(7);
  let level = 0;
  const series = Float64Array.from({ length: 24 * 30 }, (_, t) => {
    level += random.normal();
    return 200 + 60 * Math.sin((2 * Math.PI * t) / 24) + level + random.normal();
  });
  const rows = await compareBaselines(series, { season: 24, horizon: 6, windows: 10 });
  assert.equal(rows.length, BASELINES.length);
  for (const [i, row] of rows.entries()) {
    assert.ok(Number.isFinite(row.mase) && Number.isFinite(row.wql) && row.under >= 0 && row.over >= 0);
    if (i > 0) assert.ok(row.mase >= rows[i - 1]!.mase);
  }
  const place = (name: string) => rows.findIndex((row) => row.name === name);
  for (const name of ["theta", "Holt damped", "day profile + EWMA"]) assert.ok(place(name) < place("naive"), name);
});

test("a baseline without enough past is left out, and the series itself is not changed", async () => {
  const series = Float64Array.from({ length: 20 }, (_, t) => (t % 7 === 3 ? Number.NaN : t));
  const before = series.slice();
  const rows = await compareBaselines(series, { season: 18, horizon: 2, windows: 2 });
  assert.ok(!rows.some(({ name }) => name === "seasonal naive"));
  assert.ok(rows.some(({ name }) => name === "naive"));
  assert.deepEqual(series, before);
});
