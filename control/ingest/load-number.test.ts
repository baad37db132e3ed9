import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { loadNumber, MOST_RPS } from "./load-number.ts";

test("a load is read as any program writes a double, to the last bit", () => {
  const loads = fc.double({ min: 0, max: MOST_RPS, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(loads, (rps) => {
      assert.equal(loadNumber(String(rps)), rps);
      assert.equal(loadNumber(rps.toExponential()), rps);
      assert.equal(loadNumber(` ${rps.toFixed(20)} `), Number(rps.toFixed(20)));
    }),
  );
  assert.equal(loadNumber("12."), 12);
  assert.equal(loadNumber(".5"), 0.5);
});

test("nothing is no load, and what is neither is told apart from it", () => {
  for (const nothing of ["", "  ", "NaN", "nan", "null", "None", "N/A"]) assert.equal(loadNumber(nothing), null);
  for (const wrong of ["-1", "+1", "1,5", "0x10", "1e12", "1e300", "Infinity", "7 rps", ".", "1 2"])
    assert.ok(Number.isNaN(loadNumber(wrong)), wrong);
});
