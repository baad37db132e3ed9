import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FeatureBuilder, fromTarget, MIN_HISTORY_STEPS, type OriginScale, toTarget } from "./feature-builder.ts";
import { FEATURE_HISTORY_STEPS, FEATURES, featureIndex, HORIZON_STEPS, STEPS_PER_DAY } from "./schema.ts";
import { SeriesWindow } from "./series-window.ts";
import { syntheticLoad } from "./synthetic-load.ts";

const ROWS = HORIZON_STEPS * FEATURES.length;
const load = syntheticLoad({ seed: 7, days: 20 });

/** Features at `origin` (an index into `values`), NaN-filled where the builder refuses. */
function featuresAt(
  values: ArrayLike<number>,
  origin: number,
  startMs = load.startMs,
): { rows: Float32Array; scale: OriginScale } {
  const rows = new Float32Array(ROWS);
  const scale = new FeatureBuilder().build(new SeriesWindow(values), origin, startMs + origin * load.stepMs, rows, 0);
  if (typeof scale === "string") assert.fail(`no features: ${scale}`);
  return { rows, scale };
}

function assertClose(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  actual.forEach((value, i) => {
    const other = expected[i]!;
    const name = FEATURES[i % FEATURES.length]!.name;
    assert.ok(
      Object.is(value, other) || Math.abs(value - other) <= tolerance,
      `${name}, step ${Math.floor(i / FEATURES.length) + 1}: ${value} and ${other}`,
    );
  });
}

test("a live tail gives the same features as the same origin inside the whole training series", () => {
  for (const origin of [17 * STEPS_PER_DAY + 5, 18 * STEPS_PER_DAY + 131, 19 * STEPS_PER_DAY + 200]) {
    const whole = featuresAt(load.values, origin);
    const from = origin - FEATURE_HISTORY_STEPS;
    const tail = featuresAt(load.values.slice(from, origin), FEATURE_HISTORY_STEPS, load.startMs + from * load.stepMs);
    assertClose(tail.rows, whole.rows, 1e-6);
  }
});

test("nothing after the origin has any influence", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: MIN_HISTORY_STEPS, max: load.values.length - 1 }),
      fc.double({ min: 0, max: 1e6, noNaN: true }),
      (origin, future) => {
        const other = load.values.slice();
        other.fill(future, origin);
        assert.deepEqual(featuresAt(other, origin), featuresAt(load.values, origin));
      },
    ),
    { numRuns: 40 },
  );
});

test("features do not depend on the size of a service", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: MIN_HISTORY_STEPS, max: load.values.length - 1 }),
      fc.double({ min: 0.1, max: 1e5, noNaN: true }),
      (origin, factor) => {
        const scaled = load.values.map((value) => value * factor);
        // The constant part of eps, 1e-6 requests per second, is all that differs.
        assertClose(featuresAt(scaled, origin).rows, featuresAt(load.values, origin).rows, 1e-4);
      },
    ),
    { numRuns: 40 },
  );
});

test("the margin is finite and every value within its bound, whatever the history holds", () => {
  const value = fc.oneof(
    fc.constantFrom(Number.NaN, 0, -1, Number.POSITIVE_INFINITY, 1e-9, 1e12),
    fc.double({ min: 0, max: 100 }),
  );
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 6 * STEPS_PER_DAY }),
      (pattern, length) => {
        const values = Float64Array.from({ length }, (_, i) => pattern[i % pattern.length]!);
        const rows = new Float32Array(ROWS);
        const scale = new FeatureBuilder().build(new SeriesWindow(values), length, load.startMs, rows, 0);
        if (typeof scale === "string") return;
        for (let h = 0; h < HORIZON_STEPS; h++)
          assert.ok(Number.isFinite(rows[h * FEATURES.length + featureIndex("anchor")]), "anchor");
        for (const feature of rows) assert.ok(Number.isNaN(feature) || Math.abs(feature) <= 15, `${feature}`);
      },
    ),
    { numRuns: 200 },
  );
});

test("less than a day and five hours is too short, and an hour without load is stale", () => {
  const builder = new FeatureBuilder();
  const rows = new Float32Array(ROWS);
  const build = (values: Float64Array): unknown =>
    builder.build(new SeriesWindow(values), values.length, load.startMs, rows, 0);
  assert.equal(build(load.values.slice(0, MIN_HISTORY_STEPS - 1)), "short");
  assert.equal(typeof build(load.values.slice(0, MIN_HISTORY_STEPS)), "object");
  const gap = load.values.slice();
  gap.fill(Number.NaN, gap.length - 12);
  assert.equal(build(gap), "stale");
  gap[gap.length - 12] = 5;
  assert.equal(typeof build(gap), "object");
});

test("a service without any load has features that say zero", () => {
  const values = new Float64Array(16 * STEPS_PER_DAY);
  const { rows, scale } = featuresAt(values, values.length);
  assert.equal(rows[featureIndex("anchor")], 0);
  assert.equal(fromTarget(0, scale), 0);
});

test("the anchor follows yesterday when the rhythm has moved by two hours three days ago", () => {
  const moved = syntheticLoad({ seed: 7, days: 20, peakShiftFromDay: 17, peakShiftSteps: 24 });
  const edge = 19 * STEPS_PER_DAY + 9 * 12;
  const rise = (series: { values: Float64Array }, at: number): number =>
    Math.log(series.values[at + 11]! / series.values[at - 1]!);
  const anchor = (series: { values: Float64Array }, at: number): number =>
    featuresAt(series.values, at).rows[11 * FEATURES.length + featureIndex("anchor")]!;
  const times = Array.from({ length: 24 }, (_, i) => edge + 3 * i);
  const error = times.reduce((sum, at) => sum + Math.abs(anchor(moved, at) - rise(moved, at)), 0);
  const weekly = times.reduce(
    (sum, at) =>
      sum +
      Math.abs(
        rise({ values: moved.values.subarray(0, 13 * STEPS_PER_DAY) }, at - 7 * STEPS_PER_DAY) - rise(moved, at),
      ),
    0,
  );
  assert.ok(error < 0.5 * weekly, `anchor off by ${error}, last week by ${weekly}`);
});

test("a target turns back into the load it came from", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e6, noNaN: true }),
      fc.double({ min: 0, max: 1e6, noNaN: true }),
      (rps, level) => {
        const scale = { level, eps: 0.01 * level + 1e-6 };
        assert.ok(Math.abs(fromTarget(toTarget(rps, scale), scale) - rps) <= 1e-9 * (rps + level + 1));
      },
    ),
  );
});
