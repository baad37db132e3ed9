import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { chooseValues, clusterOf, survivorOf } from "./values.ts";

const weights = fc.array(fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 1_000_000 })), {
  minLength: 1,
  maxLength: 20,
});

test("a value picks its own target, and its retry the strongest of the others", () => {
  fc.assert(
    fc.property(weights, (list) => {
      const targets = list.map((weight, i) => ({ name: `t${i}`, weight }));
      const values = chooseValues(targets);
      for (const [i, { name }] of targets.entries()) {
        const value = Number(values.get(name));
        assert.ok(Number.isSafeInteger(value) && value >= 0);
        assert.equal(clusterOf(targets, value), i);
        if (targets.length > 1) assert.equal(clusterOf(targets, value, [i]), survivorOf(targets, i));
      }
    }),
  );
});

test("equal weights, where a value inside the first W would send the retry elsewhere", () => {
  const targets = ["a", "b", "c"].map((name) => ({ name, weight: 1 }));
  // b's own value 1 mod 2 would lead to c; 4 is b's as well, and leads to a.
  assert.deepEqual(
    [...chooseValues(targets)],
    [
      ["a", "0"],
      ["b", "4"],
      ["c", "2"],
    ],
  );
});

test("a weight that Envoy could never pick is refused", () => {
  assert.throws(
    () =>
      chooseValues([
        { name: "a", weight: 0 },
        { name: "b", weight: 1 },
      ]),
    /static weight 0 of a/,
  );
  assert.throws(
    () =>
      chooseValues([
        { name: "a", weight: 0xffff_ffff },
        { name: "b", weight: 1 },
      ]),
    /sum to 4294967296/,
  );
});
