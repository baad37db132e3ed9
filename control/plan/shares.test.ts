import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { feasibleBounds, withinBounds } from "./bounds.ts";
import { PPM } from "./plan.ts";
import { distance, sum, toShares } from "./shares.ts";
import { leaveAtOnce, stepsNeeded, stepToward } from "./steps.ts";
import { highestUtilisation, waterFill } from "./water-filling.ts";

const anyShares = (count: number) =>
  fc
    .array(fc.integer({ min: 0, max: 1_000 }), { minLength: count, maxLength: count })
    .filter((v) => v.some((x) => x > 0))
    .map(toShares);
const twoShares = fc.integer({ min: 1, max: 8 }).chain((n) => fc.tuple(anyShares(n), anyShares(n)));
const all = (shares: readonly number[]): boolean[] => shares.map(() => true);

test("shares round to the whole by largest remainder and refuse a total of zero", () => {
  assert.deepEqual(toShares([1, 1, 1]), [333_334, 333_333, 333_333]);
  assert.deepEqual(toShares([400_000, 600_000]), [400_000, 600_000]);
  assert.throws(() => toShares([0, 0]), /positive finite total/);
});

test("a move of any size takes exactly as many steps as its largest change needs, and never overshoots", () => {
  fc.assert(
    fc.property(twoShares, fc.integer({ min: 1_000, max: PPM }), ([from, to], limit) => {
      let at = from;
      const needed = stepsNeeded(from, to, limit);
      for (let n = 0; n < needed; n++) {
        const next = stepToward(at, to, limit);
        assert.equal(sum(next), PPM);
        assert.ok(distance(at, next) <= limit);
        assert.ok(next.every((v, i) => Math.min(from[i]!, to[i]!) <= v && v <= Math.max(from[i]!, to[i]!)));
        at = next;
      }
      assert.deepEqual(at, to);
    }),
  );
});

test("what leaves at once goes to those that lack most and pushes nobody past the goal", () => {
  assert.deepEqual(
    leaveAtOnce([400_000, 400_000, 200_000], [700_000, 0, 300_000], [false, true, false]),
    [700_000, 0, 300_000],
  );
  fc.assert(
    fc.property(twoShares, fc.nat(7), ([from, goal], pick) => {
      const leaving = goal.map(
        (g, i) => g === 0 || (i === pick % goal.length && goal.some((x, j) => j !== i && x > 0)),
      );
      const kept = toShares(goal.map((g, i) => (leaving[i] ? 0 : g)));
      const after = leaveAtOnce(from, kept, leaving);
      assert.equal(sum(after), PPM);
      assert.ok(after.every((v, i) => (leaving[i] ? v === 0 : v >= from[i]! && v <= Math.max(from[i]!, kept[i]!))));
    }),
  );
});

test("bounds hold after projection, shares within them come back unchanged, and impossible ones are relaxed", () => {
  assert.deepEqual(feasibleBounds({ floorPpm: 400_000, capPpm: PPM }, 3), {
    lowPpm: 333_333,
    highPpm: PPM,
    relaxed: "floor",
  });
  assert.deepEqual(feasibleBounds({ floorPpm: 0, capPpm: 300_000 }, 3).relaxed, "cap");
  assert.deepEqual(withinBounds([900_000, 100_000], [true, true], 0, 700_000), [700_000, 300_000]);
  fc.assert(
    fc.property(twoShares, fc.nat(PPM), fc.nat(PPM), ([shares], floor, cap) => {
      const { lowPpm, highPpm } = feasibleBounds({ floorPpm: Math.min(floor, cap), capPpm: cap }, shares.length);
      const bounded = withinBounds(shares, all(shares), lowPpm, highPpm);
      assert.equal(sum(bounded), PPM);
      assert.ok(bounded.every((v) => lowPpm <= v && v <= highPpm));
      assert.deepEqual(withinBounds(bounded, all(shares), lowPpm, highPpm), bounded);
    }),
  );
});

const filling = fc.integer({ min: 1, max: 6 }).chain((n) =>
  fc.record({
    shares: anyShares(n),
    capacity: fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: n, maxLength: n }),
    demand: fc.integer({ min: 1, max: 4_000 }),
  }),
);

test("filling leaves the preferred shares alone while nobody is above the target utilisation", () => {
  assert.deepEqual(waterFill([600_000, 400_000], [true, true], [480, 480], 560, 0.7), [600_000, 400_000]);
  fc.assert(
    fc.property(filling, ({ shares, capacity, demand }) => {
      fc.pre(highestUtilisation(shares, capacity, demand) <= 0.7);
      assert.deepEqual(waterFill(shares, all(shares), capacity, demand, 0.7), shares);
    }),
  );
});

test("filling reaches the lowest highest utilisation that can be had, but no lower than the target", () => {
  fc.assert(
    fc.property(filling, ({ shares, capacity, demand }) => {
      fc.pre(highestUtilisation(shares, capacity, demand) > 0.7);
      const filled = waterFill(shares, all(shares), capacity, demand, 0.7);
      const best = Math.max(0.7, demand / sum(capacity));
      // One ppm of rounding on the smallest capacity is what may be missing.
      const slack = (demand / PPM / Math.min(...capacity)) * 1.01 + 1e-9;
      assert.ok(highestUtilisation(filled, capacity, demand) <= best + slack);
    }),
  );
});

test("filling moves no more than must: every giver stops at the level, and nobody both gives and is lifted", () => {
  fc.assert(
    fc.property(filling, ({ shares, capacity, demand }) => {
      const filled = waterFill(shares, all(shares), capacity, demand, 0.7);
      const level = Math.max(0.7, demand / sum(capacity));
      const excess = sum(shares.map((s, i) => Math.max(0, s - ((level * capacity[i]!) / demand) * PPM)));
      const moved = sum(shares.map((s, i) => Math.max(0, s - filled[i]!)));
      assert.ok(Math.abs(moved - excess) <= shares.length + 1, `${moved} moved, ${excess} had to`);
    }),
  );
});

test("filling lifts the emptiest targets first, to one level", () => {
  // 0.7 · 100 = 70 rps fit on the first; 30 rps of 100 spill on two that carry 10 and 0.
  assert.deepEqual(
    waterFill([900_000, 100_000, 0], all([0, 0, 0]), [100, 100, 100], 100, 0.7),
    [700_000, 150_000, 150_000],
  );
});

test("a target without capacity gives all it has, and unknown demand moves nothing", () => {
  assert.deepEqual(waterFill([500_000, 500_000], [true, true], [0, 100], 50, 0.7), [0, 1_000_000]);
  assert.deepEqual(waterFill([500_000, 500_000], [true, true], [0, 0], 50, 0.7), [500_000, 500_000]);
  assert.deepEqual(waterFill([500_000, 500_000], [true, true], [1, 100], Number.NaN, 0.7), [500_000, 500_000]);
});
