import assert from "node:assert/strict";
import { test } from "node:test";
import { digestHex, parseDigestHex, xxh64 } from "./xxh64.ts";

test("xxh64 agrees with the published vectors of the algorithm", () => {
  const text = (s: string) => new TextEncoder().encode(s);
  assert.equal(xxh64(text("")), 0xef46db3751d8e999n);
  assert.equal(xxh64(text("a")), 0xd24ec4f1a98c6e5bn);
  assert.equal(xxh64(text("abc")), 0x44bc2cf5ad770999n);
  assert.equal(xxh64(text(""), 2654435761n), 0xac75fda2929b17efn);
});

test("a digest survives its text form with leading zeros, and other text is refused", () => {
  assert.equal(digestHex(10n), "000000000000000a");
  assert.equal(parseDigestHex("000000000000000a"), 10n);
  for (const wrong of ["", "a", "000000000000000A", "0x0000000000000a", "000000000000000a "]) {
    assert.equal(parseDigestHex(wrong), null);
  }
});
