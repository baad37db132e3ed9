import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PPM } from "../plan/plan.ts";
import { shares, slotCounts } from "./arbitraries.ts";
import { quotasOf } from "./quotas.ts";

test("quotas sum to the number of slots, zero stays zero and anything above zero gets a slot", () => {
  fc.assert(
    fc.property(shares, slotCounts, (sharesPpm, slots) => {
      const quotas = quotasOf(sharesPpm, slots);
      assert.equal(
        quotas.reduce((a, b) => a + b, 0),
        slots,
      );
      for (const [i, share] of sharesPpm.entries()) assert.equal(quotas[i]! > 0, share > 0);
    }),
  );
});

test("without tiny shares every quota is within one slot of its exact value", () => {
  fc.assert(
    fc.property(shares, slotCounts, (sharesPpm, slots) => {
      fc.pre(sharesPpm.every((share) => share === 0 || share * slots >= PPM));
      for (const [i, quota] of quotasOf(sharesPpm, slots).entries()) {
        assert.ok(Math.abs(quota - (sharesPpm[i]! * slots) / PPM) < 1);
      }
    }),
  );
});

test("a larger share never gets fewer slots than a smaller one", () => {
  fc.assert(
    fc.property(shares, slotCounts, (sharesPpm, slots) => {
      const quotas = quotasOf(sharesPpm, slots);
      for (const [i, a] of sharesPpm.entries()) {
        for (const [j, b] of sharesPpm.entries()) if (a > b) assert.ok(quotas[i]! >= quotas[j]!);
      }
    }),
  );
});

test("known roundings: thirds, a tie, 255 targets of which all but one are tiny", () => {
  assert.deepEqual(quotasOf([333_333, 333_333, 333_334], 256), [85, 85, 86]);
  assert.deepEqual(quotasOf([400_000, 600_000], 1024), [410, 614]);
  assert.deepEqual(quotasOf([250_000, 250_000, 250_000, 250_000], 256), [64, 64, 64, 64]);
  const crowd = Array.from({ length: 255 }, (_, i) => (i === 0 ? PPM - 254 : 1));
  const quotas = quotasOf(crowd, 256);
  assert.equal(quotas[0], 2);
  assert.ok(quotas.slice(1).every((quota) => quota === 1));
});

test("shares that cannot be a split are refused with a code", () => {
  for (const wrong of [[], [PPM - 1], [PPM, 1], [Number.NaN, PPM], [-1, PPM + 1], [0.5, PPM - 0.5], [0, 0]]) {
    assert.throws(() => quotasOf(wrong, 1024), { code: "TABLE_WEIGHTS_INVALID" });
  }
  for (const slots of [0, 255, 1000, 32_768, Number.NaN]) {
    assert.throws(() => quotasOf([PPM], slots), { code: "TABLE_WEIGHTS_INVALID" });
  }
});
