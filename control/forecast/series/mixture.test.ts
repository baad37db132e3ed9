import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { heldValue, mixed, sharesByLoss } from "./mixture.ts";
import { phaseQuantiles, recentQuantiles } from "./past-quantiles.ts";

const shares = (losses: Record<string, number[]>) => sharesByLoss(new Map(Object.entries(losses)));

describe("shares of a mixture", () => {
  test("sum to one and fall steeply with the loss", () => {
    const said = shares({ a: [1, 1], b: [1.1, 1.1], c: [3, 3], d: [Number.POSITIVE_INFINITY, 1] });
    assert.deepEqual([...said.keys()], ["a", "b"], "three times the loss, or none that is finite, has no share");
    assert.ok(Math.abs(said.get("a")! + said.get("b")! - 1) < 1e-12);
    assert.ok(said.get("b")! > 0.05 && said.get("b")! < 0.15);
  });

  test("go by the newest windows first", () => {
    const said = shares({ old: [0.5, 0.5, 1.5, 1.5], now: [1.5, 1.5, 0.5, 0.5] });
    assert.ok(said.get("now")! > 0.9);
  });

  test("are not lost to whoever misses what comes once in many windows", () => {
    const calm = Array.from({ length: 23 }, () => 1);
    const [misses, knows, alsoMisses] = [
      [...calm, 40],
      [...calm.map(() => 1.2), 2],
      [...calm.map(() => 1.3), 40],
    ];
    assert.ok(shares({ misses, alsoMisses, knows }).get("knows")! > 0.8);
    // A single window that is bad for all decides nothing.
    const both = shares({ a: [...calm, 40], b: [...calm.map(() => 1.2), 38] });
    assert.ok(both.get("a")! > both.get("b")!);
  });

  test("all go to what never erred, and none are given without a window", () => {
    assert.ok(shares({ right: [0, 0], wrong: [0.1, 0.1] }).get("right")! > 0.9999);
    assert.equal(shares({ a: [] }).size, 0);
  });
});

describe("a mixture", () => {
  test("lies between its parts, level by level, and does not cross where they do not", () => {
    const levels = fc
      .array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 3, maxLength: 3 })
      .map((values) => values.sort((a, b) => a - b).map((value) => Float64Array.of(value)));
    const part = fc.record({ share: fc.double({ min: 0.01, max: 1, noNaN: true }), quantiles: levels });
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
        const said = mixed(parts);
        for (let q = 0; q < 3; q++) {
          const values = parts.map(({ quantiles }) => quantiles[q]![0]!);
          assert.ok(said[q]![0]! >= Math.min(...values) - 1e-6 && said[q]![0]! <= Math.max(...values) + 1e-6);
          if (q > 0) assert.ok(said[q]![0]! >= said[q - 1]![0]! - 1e-6);
        }
      }),
    );
  });

  test("is what most agree on, where they do to the last digit", () => {
    const of = (low: number, high: number) => [Float64Array.of(low), Float64Array.of(high)];
    const parts = [
      { share: 0.4, quantiles: of(0, 2) },
      { share: 0.3, quantiles: of(0, 4) },
      { share: 0.3, quantiles: of(-1, 6) },
    ];
    assert.deepEqual(
      mixed(parts).map((row) => Number(row[0]!.toFixed(9))),
      [0, 3.8],
    );
    const alone = [
      { share: 0.9, quantiles: of(1, 1) },
      { share: 0.1, quantiles: of(2, 2) },
    ];
    assert.ok(mixed(alone)[0]![0]! > 1, "one of large share is not yet agreement");
  });

  test("leaves out a part that is not finite", () => {
    const of = (value: number) => [Float64Array.of(value)];
    const parts = [
      { share: 0.9, quantiles: of(Number.POSITIVE_INFINITY) },
      { share: 0.1, quantiles: of(7) },
    ];
    assert.equal(mixed(parts)[0]![0], 7);
  });
});

test("a value counts as held only when it stayed longer than any before", () => {
  assert.equal(heldValue([1, 2, 3, 0, 0, 0, 0], 4), 0);
  assert.equal(heldValue([1, 2, 3, 0, 0, 0, 0], 5), null, "shorter than asked");
  assert.equal(heldValue([0, 0, 0, 0, 5, 0, 0, 0, 0], 3), null, "such pauses happen");
  assert.equal(heldValue([4, 4, 4], 2), 4);
});

describe("quantiles of the past", () => {
  test("of the last steps are theirs, whatever came before", () => {
    const past = Float64Array.from({ length: 200 }, (_, t) => (t < 100 ? 1e6 : t - 100));
    const [low, middle, high] = recentQuantiles(past, 2, [0, 0.5, 1], 100);
    assert.deepEqual([...low!, ...middle!, ...high!], [0, 0, 49.5, 49.5, 99, 99]);
  });

  test("by phase are those of the same step of past seasons, also where the horizon is longer than a season", () => {
    const past = Float64Array.from({ length: 40 }, (_, t) => (t % 4) * 10 + Math.floor(t / 4));
    const [low, high] = phaseQuantiles(past, 9, [0, 1], 4);
    for (let h = 0; h < 9; h++) {
      assert.equal(low![h], (h % 4) * 10);
      assert.equal(high![h], (h % 4) * 10 + 9);
    }
  });
});
