import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { brierScore, calibrationError, type Judged, prAuc } from "./risk-metrics.ts";

const cases = (...list: [number, 0 | 1][]): Judged[] =>
  list.map(([probability, happened]) => ({ probability, happened: happened === 1 }));
const close = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-12, `${a} is not ${b}`);

test("the Brier score is the mean squared distance", () => {
  const four = cases([0.9, 1], [0.2, 0], [0.6, 0], [0.3, 1]);
  close(brierScore(four), (0.01 + 0.04 + 0.36 + 0.49) / 4);
});

test("PR-AUC is the average precision of a ranking worked out by hand", () => {
  // Hits at ranks 1, 3, 4 of 5: (1/1 + 2/3 + 3/4) / 3.
  close(prAuc(cases([0.9, 1], [0.8, 0], [0.7, 1], [0.6, 1], [0.1, 0])), (1 + 2 / 3 + 3 / 4) / 3);
  close(prAuc(cases([0.9, 1], [0.8, 1], [0.2, 0])), 1);
  assert.ok(Number.isNaN(prAuc(cases([0.9, 0]))));
});

test("equal probabilities score the base rate, in whatever order they stand", () => {
  close(prAuc(cases([0.5, 1], [0.5, 0], [0.5, 0], [0.5, 0])), 0.25);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(0.1, 0.5, 0.9), fc.constantFrom(0 as const, 1 as const)), { minLength: 1 }),
      (list) => {
        const one = prAuc(cases(...list));
        const other = prAuc(cases(...list.toReversed()));
        assert.ok(Object.is(one, other) || Math.abs(one - other) < 1e-12);
        if (!Number.isNaN(one)) assert.ok(one > 0 && one <= 1 + 1e-12);
      },
    ),
  );
});

test("calibration error is the weighted gap of the bins", () => {
  // Bin 0.2: mean 0.25, rate 0.5; bin 0.9: mean 0.95 and 1, rate 1.
  close(calibrationError(cases([0.22, 0], [0.28, 1], [0.95, 1], [1, 1])), (0.5 + 0.05) / 4);
});
