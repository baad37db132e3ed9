import assert from "node:assert/strict";
import { test } from "node:test";
import { LoadHistory } from "../ingest/load-history.ts";
import { DemandMeter } from "./demand-meter.ts";

const STEP = 300_000;

test("a completed step holds the mean of its samples", () => {
  const history = new LoadHistory({ stepMs: STEP });
  const meter = new DemandMeter(history);
  meter.sample("quotes", 0, 10);
  meter.sample("quotes", 100_000, 20);
  meter.sample("quotes", STEP, 99);
  assert.deepEqual(history.upTo("quotes", STEP).values, [15]);
});

test("a sample weighs as many seconds as it was measured over, and a repeated one nothing", () => {
  const history = new LoadHistory({ stepMs: STEP });
  const meter = new DemandMeter(history);
  meter.sample("quotes", 0, 70, 0);
  // 140 requests in 2 s, then 14 in 0.1 s.
  meter.sample("quotes", 1_000, 70, 2);
  meter.sample("quotes", 1_100, 140, 0.1);
  meter.sample("quotes", 1_200, 999, 0);
  meter.sample("quotes", STEP, 1);
  assert.deepEqual(history.upTo("quotes", STEP).values, [154 / 2.1]);
});

test("a step without samples repeats the last one, but only so often", () => {
  const history = new LoadHistory({ stepMs: STEP });
  const meter = new DemandMeter(history, { maxRepeats: 2 });
  meter.sample("quotes", 0, 8);
  meter.sample("quotes", 10 * STEP, 4);
  meter.sample("quotes", 11 * STEP, 4);
  const { values } = history.upTo("quotes", 11 * STEP);
  assert.deepEqual(values.slice(0, 3), [8, 8, 8]);
  assert.ok(values.slice(3, 10).every(Number.isNaN));
  assert.equal(values[10], 4);
});

test("a sample from the past is left out", () => {
  const history = new LoadHistory({ stepMs: STEP });
  const meter = new DemandMeter(history);
  meter.sample("quotes", 5 * STEP, 1);
  meter.sample("quotes", 4 * STEP, 1000);
  meter.sample("quotes", 6 * STEP, 1);
  assert.deepEqual(history.upTo("quotes", 6 * STEP).values, [1]);
});
