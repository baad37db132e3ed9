import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { pinball, ScoreBoard, seasonalScale } from "./metrics.ts";

const load = fc.double({ min: 0, max: 1e4, noNaN: true });

test("pinball loss at the median is half the absolute error, and asymmetric elsewhere", () => {
  assert.equal(pinball(0.5, 10, 6), 2);
  assert.equal(pinball(0.9, 10, 6), 0.9 * 4);
  assert.ok(Math.abs(pinball(0.9, 6, 10) - 0.1 * 4) < 1e-12);
  fc.assert(fc.property(load, load, (y, f) => Math.abs(pinball(0.5, y, f) - Math.abs(y - f) / 2) < 1e-9));
});

test("the seasonal scale is the mean absolute seasonal difference over observed pairs", () => {
  assert.equal(seasonalScale([1, 2, 4, 8], 2), (3 + 6) / 2);
  assert.equal(seasonalScale([1, 2, Number.NaN, 8], 2), 6);
  assert.ok(Number.isNaN(seasonalScale([1, 2], 2)));
});

test("scores of a hand-made case", () => {
  const board = new ScoreBoard([0.1, 0.5, 0.9]);
  board.add("a", 2, 10, [8, 9, 12]);
  board.add("a", 2, 20, [21, 23, 25]);
  board.add("b", 4, 5, [1, 5, 6]);
  board.add("b", 4, Number.NaN, [1, 5, 6]);
  const scores = board.scores();
  assert.equal(scores.count, 3);
  // a: (1 + 3) / 2 / 2 = 1, b: 0
  assert.equal(scores.mase, 0.5);
  assert.deepEqual(scores.coverage, [1 / 3, 2 / 3, 1]);
  const pinballSum = [0.1 * 2 + 0.9 * 1 + 0.1 * 4, 0.5 * 1 + 0.5 * 3, 0.1 * 2 + 0.1 * 5 + 0.1 * 1];
  assert.ok(Math.abs(scores.wql - pinballSum.reduce((sum, loss) => sum + (2 * loss) / 35, 0) / 3) < 1e-12);
});

test("a perfect forecast scores zero and a constant offset on all services scores that offset over the scale", () => {
  fc.assert(
    fc.property(
      fc.array(load, { minLength: 1, maxLength: 50 }),
      fc.double({ min: 0.1, max: 100, noNaN: true }),
      (values, offset) => {
        const perfect = new ScoreBoard([0.5]);
        const off = new ScoreBoard([0.5]);
        for (const value of values) {
          perfect.add("a", 5, value, [value]);
          off.add("a", 5, value, [value + offset]);
        }
        assert.equal(perfect.scores().mase, 0);
        assert.ok(Math.abs(off.scores().mase - offset / 5) < 1e-6);
      },
    ),
  );
});
