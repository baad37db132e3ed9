import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { deviation, moved } from "./deviation.ts";
import { leastMoved, pushes, quotasOf, SLOTS } from "./weights.ts";

test("turn by turn two equal targets are never more than half a request off", () => {
  const picks = Int8Array.from({ length: 1000 }, (_, i) => i % 2);
  for (const length of [1, 10, 11, 1000])
    assert.equal(deviation(picks, [0.5, 0.5], length).worst, length % 2 === 0 ? 0 : 0.5);
});

test("one target that gets everything is off by what the others should have had", () => {
  const result = deviation(new Int8Array(100), [0.25, 0.75], 40);
  assert.equal(result.mean, 30);
  assert.equal(result.worst, 30);
});

test("windows cover the picks from the first to the last", () => {
  const picks = new Int8Array(5000);
  picks[4999] = 1;
  assert.equal(deviation(picks.subarray(0, 1500), [1, 0], 1500).worst, 0);
  assert.equal(deviation(picks, [1, 0], 5000).worst, 1);
});

test("the least number of moves never exceeds the moves, and equals them when targets only give or only take", () => {
  assert.deepEqual(moved(Int8Array.of(0, 0, 1, 1), Int8Array.of(1, 0, 1, 1), 2), { moved: 1, least: 1 });
  assert.deepEqual(moved(Int8Array.of(0, 1), Int8Array.of(1, 0), 2), { moved: 2, least: 0 });
  const picks = fc.array(fc.integer({ min: 0, max: 7 }), { minLength: 20, maxLength: 20 });
  fc.assert(
    fc.property(picks, picks, (before, after) => {
      const result = moved(Int8Array.from(before), Int8Array.from(after), 8);
      assert.ok(result.least <= result.moved);
    }),
  );
});

test("quotas are whole, sum to the slots and lie within one slot of the weights", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 20 }), (weights) => {
      const sum = weights.reduce((a, b) => a + b, 0);
      const quotas = quotasOf(weights);
      assert.equal(
        quotas.reduce((a, b) => a + b, 0),
        SLOTS,
      );
      for (const [i, quota] of quotas.entries())
        assert.ok(Math.abs(quota - ((weights[i] as number) * SLOTS) / sum) < 1);
    }),
  );
});

test("every push changes the split, and a drain needs the share of its target to move", () => {
  const { base, after } = pushes();
  for (const push of after) assert.ok(leastMoved(base.weights, push.weights) > 0);
  const drained = after.find((push) => push.name === "drained");
  assert.ok(drained);
  assert.ok(Math.abs(leastMoved(base.weights, drained.weights) - (base.weights[2] as number) / SLOTS) < 1e-9);
});
