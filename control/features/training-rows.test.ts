import assert from "node:assert/strict";
import { test } from "node:test";
import { augment } from "./augment.ts";
import { ANCHOR_COLUMN } from "./feature-builder.ts";
import { FEATURES } from "./schema.ts";
import { SeededRandom } from "./seeded-random.ts";
import { syntheticLoad } from "./synthetic-load.ts";
import { buildTrainingRows } from "./training-rows.ts";

const small = { seed: 3, copies: 3, originsOfSeries: 40, originsOfCopy: 30, horizonsPerOrigin: 2 };

test("the same seed gives the same rows, another seed gives others", () => {
  const series = [syntheticLoad({ seed: 1, days: 21 })];
  const first = buildTrainingRows(series, small);
  assert.ok(first.rows > 150, `${first.rows} rows`);
  assert.deepEqual(first, buildTrainingRows(series, small));
  assert.notDeepEqual(first.data, buildTrainingRows(series, { ...small, seed: 4 }).data);
});

test("every row has a finite target and a finite margin", () => {
  const { data, rows, columns } = buildTrainingRows([syntheticLoad({ seed: 2, days: 21 })], small);
  assert.equal(columns, FEATURES.length + 1);
  for (let row = 0; row < rows; row++) {
    assert.ok(Number.isFinite(data[row * columns + FEATURES.length]), `target of row ${row}`);
    assert.ok(Number.isFinite(data[row * columns + ANCHOR_COLUMN]), `margin of row ${row}`);
  }
});

test("a series that is too short to learn from gives no rows and no error", () => {
  assert.equal(buildTrainingRows([syntheticLoad({ seed: 1, days: 1 })], small).rows, 0);
});

test("changed copies keep whole days, stay non-negative and come from the series alone", () => {
  const series = syntheticLoad({ seed: 5, days: 28 });
  const highest = Math.max(...series.values);
  const random = new SeededRandom(9);
  for (let copy = 0; copy < 20; copy++) {
    const changed = augment(series, random);
    assert.ok(changed.values.length >= 2 * 288 && changed.values.length <= series.values.length);
    assert.equal((changed.startMs - series.startMs) % series.stepMs, 0);
    for (const value of changed.values) assert.ok(Number.isNaN(value) || (value >= 0 && value < 40 * highest));
  }
  assert.deepEqual(series, syntheticLoad({ seed: 5, days: 28 }), "the series itself is left as it was");
});
