import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type CapacityEstimate, CapacityEstimator } from "./estimator.ts";

const objective = { latencyMs: 200, errorShare: 0.01 };
const DAY_MS = 86_400_000;

/** Feeds minutes of a load that sweeps up and down between `from` and `to`; `p99` of a load at a minute. */
function fed(
  p99: (rps: number, minute: number) => number,
  options: { from: number; to: number; minutes: number },
  estimator = new CapacityEstimator(objective),
  startMs = 0,
): CapacityEstimator {
  for (let m = 0; m < options.minutes; m++) {
    const rps = options.from + (options.to - options.from) * (0.5 - 0.5 * Math.cos(m / 9));
    estimator.observe({ atMs: startMs + m * 60_000, seconds: 60, rps, latencyMs: p99(rps, m), errorShare: 0 });
  }
  return estimator;
}
/** M/M/1 whose p99 is 200 ms at `capacity`. */
const queue = (capacity: number) => {
  const mu = capacity + Math.log(100) / 0.2;
  return (rps: number): number => (1000 * Math.log(100)) / Math.max(1e-3, mu - rps);
};
const at = (estimator: CapacityEstimator, nowMs = DAY_MS): CapacityEstimate => {
  const estimate = estimator.estimate(nowMs);
  assert.ok(estimate);
  return estimate;
};

test("loads on both sides of the objective give the capacity between them, inside its interval", () => {
  const { kind, rps, lowRps, highRps } = at(fed(queue(400), { from: 100, to: 480, minutes: 600 }));
  assert.equal(kind, "measured");
  assert.ok(Math.abs(rps / 400 - 1) < 0.05, `${rps}`);
  assert.ok(lowRps <= 400 && highRps >= 400 && lowRps <= rps && rps <= highRps);
});

test("errors break the objective as well as latency does", () => {
  const estimator = new CapacityEstimator(objective);
  for (let m = 0; m < 400; m++) {
    const rps = 100 + (m % 50) * 6;
    estimator.observe({ atMs: m, seconds: 60, rps, latencyMs: 50, errorShare: rps > 300 ? 0.05 : 0 });
  }
  assert.ok(Math.abs(at(estimator).rps / 300 - 1) < 0.05);
});

test("a load that never broke the objective says at least, and nothing above", () => {
  const estimate = at(fed(() => 40, { from: 20, to: 150, minutes: 600 }));
  assert.equal(estimate.kind, "at_least");
  assert.ok(estimate.rps <= 150 && estimate.rps > 140);
  assert.equal(estimate.highRps, Number.POSITIVE_INFINITY);
});

test("a latency that rises with load is drawn out to the objective, but never far", () => {
  const near = at(fed(queue(400), { from: 100, to: 340, minutes: 600 }));
  assert.equal(near.kind, "extrapolated");
  assert.ok(Math.abs(near.rps / 400 - 1) < 0.05, `${near.rps}`);
  const far = at(fed(queue(4_000), { from: 100, to: 2_200, minutes: 600 }));
  assert.ok(far.rps <= 1.5 * 2_200);
});

test("an objective broken at every load says at most the lowest", () => {
  const { kind, rps, lowRps } = at(fed(() => 500, { from: 50, to: 100, minutes: 100 }));
  assert.deepEqual([kind, lowRps], ["at_most", 0]);
  assert.ok(rps < 55);
});

test("one slow minute in twelve moves the estimate by no more than a bin", () => {
  const clean = at(fed(queue(400), { from: 100, to: 480, minutes: 900 })).rps;
  const dirty = at(
    fed((rps, m) => queue(400)(rps) * (m % 12 === 0 ? 20 : 1), { from: 100, to: 480, minutes: 900 }),
  ).rps;
  assert.ok(Math.abs(dirty / clean - 1) < 0.06, `${dirty} for ${clean}`);
});

test("a target that became slower, or faster, is known within four hours of load that sweeps over the objective", () => {
  const estimator = fed(queue(400), { from: 100, to: 480, minutes: 3_000 });
  fed(queue(280), { from: 100, to: 480, minutes: 240 }, estimator, 3_000 * 60_000);
  assert.ok(Math.abs(at(estimator, 3_240 * 60_000).rps / 280 - 1) < 0.08, `${at(estimator).rps}`);
  fed(queue(400), { from: 100, to: 480, minutes: 240 }, estimator, 3_240 * 60_000);
  assert.ok(Math.abs(at(estimator, 3_480 * 60_000).rps / 400 - 1) < 0.08, `${at(estimator).rps}`);
});

test("what was seen fades: long after, too little is left to say anything", () => {
  const estimator = fed(queue(400), { from: 100, to: 480, minutes: 600 });
  assert.ok(at(estimator, 2 * DAY_MS).minutes < at(fed(queue(400), { from: 100, to: 480, minutes: 600 })).minutes);
  assert.equal(estimator.estimate(200 * DAY_MS), null);
});

test("too few readings give no estimate, and broken ones are left out", () => {
  const estimator = new CapacityEstimator(objective);
  for (const rps of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    for (let i = 0; i < 100; i++) estimator.observe({ atMs: i, seconds: 60, rps, latencyMs: 1, errorShare: 0 });
  }
  for (let i = 0; i < 100; i++) estimator.observe({ atMs: i, seconds: 60, rps: 5, latencyMs: null, errorShare: null });
  assert.equal(estimator.estimate(0), null);
});

test("whatever is fed, an estimate is finite, positive and inside its own interval", () => {
  const reading = fc.record({
    rps: fc.double({ min: 0, max: 1e9, noNaN: true }),
    latencyMs: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true })),
    errorShare: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
    seconds: fc.double({ min: 0, max: 1e4, noNaN: true }),
    gapMs: fc.integer({ min: 0, max: 3 * DAY_MS }),
  });
  fc.assert(
    fc.property(fc.array(reading, { maxLength: 200 }), (readings) => {
      const estimator = new CapacityEstimator(objective);
      let atMs = 0;
      for (const { gapMs, ...one } of readings) {
        atMs += gapMs;
        estimator.observe({ ...one, atMs });
      }
      const estimate = estimator.estimate(atMs);
      if (estimate === null) return;
      assert.ok(Number.isFinite(estimate.rps) && estimate.rps > 0);
      assert.ok(estimate.lowRps <= estimate.rps * (1 + 1e-9) && estimate.highRps >= estimate.rps * (1 - 1e-9));
    }),
  );
});
