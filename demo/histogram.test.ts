import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Histogram } from "./histogram.ts";

test("a quantile is within 2.5 % of the true nearest-rank value", () => {
  const values = fc.array(fc.double({ min: 0.1, max: 59_000, noNaN: true }), { minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(values, fc.constantFrom(0.5, 0.9, 0.99, 1), (ms, q) => {
      const histogram = new Histogram();
      for (const value of ms) histogram.add(value);
      const sorted = [...ms].sort((a, b) => a - b);
      const exact = sorted[Math.max(1, Math.ceil(q * ms.length)) - 1]!;
      const found = histogram.quantile(q)!;
      assert.ok(Math.abs(found / exact - 1) <= 0.026, `${found} for ${exact}`);
    }),
  );
});

test("values outside the range are kept in the outermost bins, and nothing has no quantile", () => {
  const histogram = new Histogram();
  assert.equal(histogram.quantile(0.5), null);
  histogram.add(-5);
  histogram.add(1e9);
  assert.equal(histogram.count, 2);
  assert.ok(histogram.quantile(0.5)! < 0.11);
  assert.ok(histogram.quantile(1)! > 55_000);
});
