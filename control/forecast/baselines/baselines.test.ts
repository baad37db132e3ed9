import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../features/seeded-random.ts";
import { BASELINES } from "./all.ts";
import type { Baseline } from "./baseline.ts";
import { dayProfile } from "./day-profile.ts";
import { filled } from "./gaps.ts";
import { holt } from "./holt.ts";
import { minimise } from "./minimise.ts";
import { drift, meanOfLast, naive, seasonalNaive } from "./naive.ts";
import { baselineQuantiles } from "./quantiles.ts";
import { isSeasonal, seasonallyAdjust } from "./seasonal-adjustment.ts";
import { theta } from "./theta.ts";

const levels = [0.1, 0.5, 0.9];

function point(baseline: Baseline, past: ArrayLike<number>, season: number, horizon: number): number[] {
  const quantiles = baselineQuantiles(baseline, Float64Array.from(past), { season, horizon, levels });
  assert.ok(quantiles !== null, `${baseline.name} did not answer`);
  return [...quantiles[1]!];
}

function near(actual: readonly number[], expected: readonly number[], within = 1e-9): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]!) <= within, `step ${i}: ${value}, expected ${expected[i]}`);
  });
}

/** A positive seasonal series with noise, from a seed. */
function wave(seed: number, length: number, season: number): Float64Array {
  const random = new SeededRandom(seed);
  return Float64Array.from(
    { length },
    (_, t) => 100 + 30 * Math.sin((2 * Math.PI * t) / season) + 0.02 * t + 3 * random.normal(),
  );
}

describe("values worked out by hand", () => {
  const past = [3, 5, 4, 6, 8, 7];
  test("naive, seasonal naive, drift and mean-k", () => {
    near(point(naive, past, 3, 2), [7, 7]);
    near(point(seasonalNaive, past, 3, 4), [6, 8, 7, 6]);
    near(point(drift, past, 3, 2), [7 + 4 / 5, 7 + 8 / 5]);
    near(point(meanOfLast(4), past, 3, 2), [25 / 4, 25 / 4]);
    near(point(meanOfLast(), past, 3, 2), [7.5, 7.5]);
  });

  test("theta is the mean of its two lines, continued", () => {
    const values = Float64Array.from([10, 12, 11, 15, 14, 17, 16, 20]);
    // The definition, line by line: theta-0 is the fitted line, theta-2 = 2·y − line, smoothed with the alpha of least squares of the mean's errors.
    const n = values.length;
    const xs = values.map((_, t) => t);
    const mean = (a: Float64Array) => a.reduce((sum, v) => sum + v, 0) / a.length;
    const b =
      xs.reduce((sum, x, t) => sum + (x - mean(xs)) * (values[t]! - mean(values)), 0) /
      xs.reduce((sum, x) => sum + (x - mean(xs)) ** 2, 0);
    const a = mean(values) - b * mean(xs);
    const smoothed = (alpha: number, to: number): number => {
      // ℓ of theta-2 started so that the sum with the line starts at y(1).
      let level = 2 * values[0]! - a;
      for (let t = 0; t < to; t++) level += alpha * (2 * values[t]! - (a + b * t) - level);
      return level;
    };
    const said = (alpha: number, origin: number, h: number) => (a + b * (origin + h - 1) + smoothed(alpha, origin)) / 2;
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let alpha = 0.01; alpha <= 0.99; alpha += 1e-4) {
      let squares = 0;
      for (let t = 1; t < n; t++) squares += (values[t]! - said(alpha, t, 1)) ** 2;
      if (squares < least) {
        least = squares;
        best = alpha;
      }
    }
    near(
      point(theta, values, 1, 3),
      [1, 2, 3].map((h) => said(best, n, h)),
      1e-2,
    );
  });

  test("the least of a function with two valleys is found", () => {
    assert.ok(Math.abs(minimise((x) => Math.min((x - 0.2) ** 2 + 0.1, (x - 0.83) ** 2), 0, 1) - 0.83) < 1e-4);
    assert.equal(
      minimise((x) => x, 0.25, 1),
      0.25,
    );
  });
});

describe("every baseline", () => {
  for (const baseline of BASELINES) {
    test(`${baseline.name}: a constant series gives its constant at every level`, () => {
      fc.assert(
        fc.property(fc.double({ min: -1e6, max: 1e6, noNaN: true }), (constant) => {
          const quantiles = baselineQuantiles(baseline, new Float64Array(60).fill(constant), {
            season: 6,
            horizon: 9,
            levels,
          });
          for (const row of quantiles!) near([...row], new Array(9).fill(constant), 0);
        }),
        { numRuns: 30 },
      );
    });

    test(`${baseline.name}: finite, ascending levels on any series with gaps`, () => {
      const value = fc.oneof(
        { weight: 6, arbitrary: fc.double({ min: -1e6, max: 1e6, noNaN: true }) },
        { weight: 1, arbitrary: fc.constant(Number.NaN) },
      );
      fc.assert(
        fc.property(fc.array(value, { maxLength: 80 }), fc.integer({ min: 1, max: 20 }), (list, season) => {
          const past = Float64Array.from(list);
          const quantiles = baselineQuantiles(baseline, past, { season, horizon: 7, levels });
          const able = past.length >= baseline.least({ season, horizon: 7 }) && list.some((v) => !Number.isNaN(v));
          assert.equal(quantiles !== null, able);
          quantiles?.forEach((row, k) => {
            row.forEach((said, h) => {
              assert.ok(Number.isFinite(said));
              if (k > 0) assert.ok(said >= quantiles[k - 1]![h]!);
            });
          });
        }),
        { numRuns: 60 },
      );
    });

    test(`${baseline.name}: a series in another unit gives the same forecast in that unit`, () => {
      fc.assert(
        fc.property(fc.integer(), fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (seed, scale) => {
          const past = wave(seed, 120, 12);
          const one = point(baseline, past, 12, 15);
          const other = point(
            baseline,
            past.map((v) => v * scale),
            12,
            15,
          );
          near(
            other.map((v) => v / scale),
            one,
            1e-4,
          );
        }),
        { numRuns: 15 },
      );
    });

    test(`${baseline.name}: what is forecast from an earlier origin does not depend on what came after it`, () => {
      const past = wave(4, 200, 12);
      const shape = { season: 12, horizon: 10 };
      const fitted = baseline.fit(past, shape);
      assert.deepEqual(
        point(baseline, past, 12, 10),
        Array.from({ length: 10 }, (_, h) => fitted.at(200, h + 1)),
      );
      const seasonal = [holt, theta].includes(baseline) && seasonallyAdjust(past, 12, "multiplicative").kind !== "none";
      // Parameters and indices are the whole past's; the rest must be blind to it. Parameter-free baselines are compared exactly.
      if (seasonal || baseline === dayProfile) return;
      const cut = baseline.fit(past.slice(0, 150), shape);
      for (let h = 1; h <= 10; h++) assert.equal(fitted.at(150, h), cut.at(150, h));
    });
  }

  for (const baseline of [naive, seasonalNaive, drift, meanOfLast(), dayProfile]) {
    test(`${baseline.name}: a series moved up by a constant moves the forecast by it`, () => {
      fc.assert(
        fc.property(fc.integer(), fc.double({ min: -1e4, max: 1e4, noNaN: true }), (seed, shift) => {
          const past = wave(seed, 120, 12);
          const moved = past.map((value) => value + shift);
          near(
            point(baseline, moved, 12, 15).map((value) => value - shift),
            point(baseline, past, 12, 15),
            1e-6,
          );
        }),
        { numRuns: 15 },
      );
    });
  }

  for (const baseline of [holt, theta]) {
    test(`${baseline.name}: moves with a constant where no season is adjusted`, () => {
      const past = wave(3, 120, 12);
      near(
        point(
          baseline,
          past.map((value) => value + 500),
          1,
          15,
        ).map((value) => value - 500),
        point(baseline, past, 1, 15),
        1e-3,
      );
    });
  }

  for (const baseline of [seasonalNaive, holt, theta, dayProfile]) {
    test(`${baseline.name}: recovers a season that repeats exactly`, () => {
      const season = [50, 80, 120, 90, 70, 60, 40];
      const past = Float64Array.from({ length: 70 }, (_, t) => season[t % 7]!);
      near(
        point(baseline, past, 7, 10),
        Array.from({ length: 10 }, (_, h) => season[(70 + h) % 7]!),
        // Theta's line keeps what little slope the adjusted ends leave.
        1e-6,
      );
    });
  }

  test("drift, damped Holt and theta follow a straight line, theta and drift by its full and half slope at least", () => {
    const past = Float64Array.from({ length: 80 }, (_, t) => 10 + 2 * t);
    near(point(drift, past, 1, 3), [170, 172, 174]);
    for (const baseline of [holt, theta]) {
      const said = point(baseline, past, 1, 5);
      assert.ok(said[4]! > said[0]! && said[0]! > 168, `${baseline.name}: ${said}`);
    }
  });
});

describe("quantiles", () => {
  test("hold what they promise on steps that were not seen, and widen with the distance when load wanders", () => {
    const random = new SeededRandom(5);
    let load = 1_000;
    const values = Float64Array.from({ length: 3_000 }, () => (load += random.normal()));
    let inside = 0;
    let steps = 0;
    for (let start = 1_000; start + 20 <= 3_000; start += 20) {
      const rows = baselineQuantiles(naive, values.slice(0, start), { season: 1, horizon: 20, levels })!;
      assert.ok(rows[2]![19]! - rows[0]![19]! > 2 * (rows[2]![0]! - rows[0]![0]!));
      for (let h = 0; h < 20; h++, steps++)
        if (values[start + h]! > rows[0]![h]! && values[start + h]! <= rows[2]![h]!) inside++;
    }
    assert.ok(Math.abs(inside / steps - 0.8) < 0.06, `${inside / steps} of the steps lie in the 80 % band`);
  });

  test("are wider at the peak than in the valley when errors grow with the load", () => {
    const random = new SeededRandom(6);
    const past = Float64Array.from(
      { length: 24 * 40 },
      (_, t) => (100 + 80 * Math.sin((2 * Math.PI * t) / 24)) * (1 + 0.1 * random.normal()),
    );
    const width = (rows: Float64Array[], h: number) => rows[2]![h]! - rows[0]![h]!;
    for (const baseline of [holt, theta]) {
      const rows = baselineQuantiles(baseline, past, { season: 24, horizon: 24, levels })!;
      // The loads of the steps are 180 and 20.
      const ratio = width(rows, 6) / width(rows, 18);
      assert.ok(ratio > 5 && ratio < 14, `${baseline.name}: ${ratio}`);
    }
  });

  test("are refused on a past that is too short or empty", () => {
    const shape = { season: 10, horizon: 3, levels };
    assert.equal(baselineQuantiles(seasonalNaive, new Float64Array(9), shape), null);
    assert.equal(baselineQuantiles(naive, new Float64Array(0), shape), null);
    assert.equal(baselineQuantiles(naive, new Float64Array(20).fill(Number.NaN), shape), null);
  });
});

describe("seasonal adjustment", () => {
  test("finds the season of a wave and none in noise, and putting it back gives the past", () => {
    const past = wave(1, 240, 24);
    assert.ok(isSeasonal(past, 24));
    const random = new SeededRandom(9);
    assert.ok(
      !isSeasonal(
        Float64Array.from({ length: 240 }, () => random.normal()),
        24,
      ),
    );
    for (const form of ["additive", "multiplicative"] as const) {
      const { kind, adjusted, restore } = seasonallyAdjust(past, 24, form);
      assert.equal(kind, form);
      near([...adjusted].map(restore), [...past]);
    }
  });

  test("is additive where values are not all above zero", () => {
    const past = Float64Array.from({ length: 70 }, (_, t) => [0, 5, 9, 5, 0, -4, -4][t % 7]!);
    assert.equal(seasonallyAdjust(past, 7, "multiplicative").kind, "additive");
  });
});

test("gaps take the value of one season before, else the last one", () => {
  const gap = Number.NaN;
  assert.deepEqual([...filled(Float64Array.from([gap, 1, 2, 3, gap, gap, 6]), 3)], [1, 1, 2, 3, 1, 2, 6]);
  assert.deepEqual([...filled(Float64Array.from([4, gap, gap]), 1)], [4, 4, 4]);
  assert.deepEqual([...filled(Float64Array.from([gap, gap]), 1)], [0, 0]);
});
