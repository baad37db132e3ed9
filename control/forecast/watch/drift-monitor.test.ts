import assert from "node:assert/strict";
import { test } from "node:test";
import { featureStatistics } from "../../features/feature-statistics.ts";
import { SeededRandom } from "../../features/seeded-random.ts";
import { InputHistogram } from "../model/input-histogram.ts";
import { DriftMonitor } from "./drift-monitor.ts";

const NAMES = Array.from({ length: 10 }, (_, i) => `f${i}`);
const STEP = 300_000;
const SEASON = 288;
const random = new SeededRandom(5);

/** Rows whose features are normal, the first `moved` of them with another mean. */
function rows(count: number, moved = 0, by = 0): Float32Array {
  return Float32Array.from(
    { length: count * NAMES.length },
    (_, i) => random.normal() + (i % NAMES.length < moved ? by : 0),
  );
}

const statistics = featureStatistics(rows(5_000), NAMES.length, NAMES);
const counter = new InputHistogram(statistics, NAMES);

function served(steps: number, make: () => Float32Array): DriftMonitor {
  const monitor = new DriftMonitor({
    statistics,
    signs: null,
    coverage: [0.1, 0.5, 0.9],
    stepMs: STEP,
    spanSteps: SEASON,
  });
  for (let step = 0; step < steps; step++) monitor.observeInputs(counter.count(make(), NAMES.length, 1), step * STEP);
  return monitor;
}

test("nothing is said before a whole season was seen", () => {
  const state = served(SEASON - 1, () => rows(4, 10, 9)).state();
  assert.equal(state.verdict, "warming");
  assert.deepEqual(state.inputs, []);
});

test("what looks like training is steady", () => {
  const state = served(SEASON + 40, () => rows(4)).state();
  assert.equal(state.verdict, "steady");
  assert.equal(state.text, null);
  assert.ok(state.inputs.length === NAMES.length && state.inputs[0]!.divergence < 0.05);
});

test("one input far from training is a warning, two of ten are drift, and both are named", () => {
  const one = served(SEASON + 40, () => rows(4, 1, 4)).state();
  assert.equal(one.verdict, "warn");
  assert.match(one.text ?? "", /^1 of 10 inputs are far from training \(f0 0\.\d\d\)$/);
  assert.equal(served(SEASON + 40, () => rows(4, 2, 4)).state().verdict, "drifted");
});

test("a reading that is missing now and never was in training is drift of that input", () => {
  const state = served(SEASON + 40, () => rows(4).map((value, i) => (i % 10 === 3 ? Number.NaN : value))).state();
  assert.deepEqual(state.inputs[0], { name: "f3", divergence: 1 });
});

test("drift ends a season after what is asked looks like training again", () => {
  const monitor = served(SEASON + 40, () => rows(4, 5, 4));
  assert.equal(monitor.state().verdict, "drifted");
  for (let step = SEASON + 40; step < 3 * SEASON; step++)
    monitor.observeInputs(counter.count(rows(4), NAMES.length, 1), step * STEP);
  assert.equal(monitor.state().verdict, "steady");
});

test("errors on one side alone are drift although every input looks like training", () => {
  const outcome = (covered: number[]) => ({
    atMs: 0,
    steps: 120,
    load: 1,
    losses: { model: { pinball: [1, 1, 1], covered, absolute: 1, scaled: 1 } },
  });
  const monitor = new DriftMonitor({
    statistics: null,
    signs: null,
    coverage: [0.1, 0.5, 0.9],
    stepMs: STEP,
    spanSteps: SEASON,
  });
  assert.equal(monitor.state().verdict, "off");
  for (let i = 0; i < 12; i++) monitor.observeOutcome(outcome([12, 60, 108]), "model");
  assert.equal(monitor.state().verdict, "steady");
  for (let i = 0; i < 48; i++) monitor.observeOutcome(outcome([0, 10, 40]), "model");
  const { verdict, text } = monitor.state();
  assert.equal(verdict, "drifted");
  assert.match(text ?? "", /^errors are 0\.\d\d from the backtest over 48 windows$/);
});
