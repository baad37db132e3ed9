import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isAsSealed, sealed } from "./manifest-seal.ts";

const TEXTS = ['{"a":1}', '{\n  "levels": [0.1, 0.5],\n  "sha256": "00"\n}\n', '{"seal":"of a letter","b":{}}'];

test("a sealed manifest is the same JSON with a seal more, and is sealed as well when it is sealed again", () => {
  for (const text of TEXTS) {
    const { seal, ...rest } = JSON.parse(sealed(text));
    assert.match(seal, /^[0-9a-f]{64}$/);
    const { seal: _, ...before } = JSON.parse(text);
    assert.deepEqual(rest, before);
    assert.equal(isAsSealed(sealed(text)), true);
    assert.equal(sealed(sealed(text)), sealed(text));
    assert.equal(isAsSealed(text), null);
  }
});

test("any byte of a sealed manifest that is changed, dropped or put in is noticed, or the seal with it is gone", () => {
  const text = sealed(TEXTS[1]!);
  const bytes = fc.constantFrom(...'0123456789abcdefghijklmnop{}[]",:. \n');
  fc.assert(
    fc.property(fc.nat(text.length - 1), bytes, fc.nat(2), (at, byte, what) => {
      const changed = text.slice(0, at) + (what === 1 ? "" : byte) + text.slice(what === 2 ? at : at + 1);
      fc.pre(changed !== text && JSON.stringify(parsed(changed)) !== JSON.stringify(parsed(text)));
      const verdict = isAsSealed(changed);
      assert.notEqual(verdict, true);
      // Without a seal only the seal itself was hit, or it is no JSON any more.
      if (verdict === null) {
        const [rest, before] = [parsed(changed), parsed(text)];
        if (rest === null) return;
        assert.deepEqual(rest.levels, before!.levels);
        assert.equal(rest.sha256, before!.sha256);
      }
    }),
    { numRuns: 500 },
  );
});

function parsed(text: string): Record<string, unknown> | null {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
