import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalJson } from "./canonical-json.ts";
import { type EntryBody, GENESIS, seal, verifyChain } from "./chain.ts";
import { summariseRound } from "./record.ts";

test("canonical JSON is one text per value, whatever the order of the keys", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const text = canonicalJson(value);
      assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
      assert.equal(canonicalJson(JSON.parse(text)), text);
      assert.equal(canonicalJson(reversed(value)), text);
    }),
  );
  assert.equal(canonicalJson({ b: [1, "é", null], a: 0.1, c: undefined }), '{"a":0.1,"b":[1,"é",null]}');
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, reversed(item)]),
  );
}

test("what JSON cannot carry is refused with its path", () => {
  const cases: [unknown, RegExp][] = [
    [{ a: [1, Number.NaN] }, /\$\.a\[1\] is NaN/],
    [{ a: Number.POSITIVE_INFINITY }, /\$\.a is Infinity/],
    [{ a: 1n }, /\$\.a is a bigint/],
    [[undefined], /\$\[0\] is a undefined/],
    [{ a: new Map() }, /\$\.a is not a plain object/],
  ];
  for (const [value, message] of cases) assert.throws(() => canonicalJson(value), message);
});

function chain(length: number): { seq: number; line: string; hash: string }[] {
  const lines: { seq: number; line: string; hash: string }[] = [];
  let prevHash = GENESIS;
  for (let seq = 1; seq <= length; seq++) {
    const body: EntryBody = { kind: "note", epoch: null, topic: "test", detail: { seq } };
    const { line, hash } = seal({ seq, atMs: seq, term: 0, prevHash, body });
    lines.push({ seq, line, hash });
    prevHash = hash;
  }
  return lines;
}

test("a sound chain verifies, and any changed, dropped, swapped or forged entry is named", () => {
  const lines = chain(10);
  assert.deepEqual(verifyChain(lines), { entries: 10, tip: lines[9]!.hash, fault: null });
  fc.assert(
    fc.property(fc.nat(9), fc.nat(), (index, at) => {
      const { line } = lines[index]!;
      const changed = `${line.slice(0, at % line.length)}~${line.slice((at % line.length) + 1)}`;
      fc.pre(changed !== line);
      const broken = lines.with(index, { ...lines[index]!, line: changed });
      assert.equal(verifyChain(broken).fault?.seq, index + 1);
    }),
  );
  assert.equal(verifyChain(lines.toSpliced(4, 1)).fault?.seq, 5);
  // Rewritten with a hash of its own, an entry no longer fits its successor.
  const forged = seal({ ...JSON.parse(lines[4]!.line), atMs: 99 });
  assert.equal(verifyChain(lines.with(4, { seq: 5, ...forged })).fault?.seq, 6);
  assert.deepEqual(verifyChain([]), { entries: 0, tip: GENESIS, fault: null });
});

test("a round of a large fleet is recorded with those that did not acknowledge first", () => {
  const nodes = Array.from({ length: 10 }, (_, i) => ({
    id: `edge-${i}`,
    instance: "1",
    answer: i === 7 ? "nack" : "ack",
    afterMs: i,
  }));
  const outcome = { result: "refused", reason: "no", tookMs: 9, firstAckMs: 0, lastAckMs: 9, acks: 9, nodes };
  const summary = summariseRound(outcome, 3);
  assert.deepEqual(
    [summary.nodes.map((node) => node.id), summary.asked, summary.omitted],
    [["edge-7", "edge-0", "edge-1"], 10, 7],
  );
});
