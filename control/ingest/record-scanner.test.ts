import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type RawRecord, RecordScanner, ScanError } from "./record-scanner.ts";

const limits = { maxRecordLength: 10_000, maxDepth: 16 };

function scan(text: string, cuts: readonly number[] = [], bounds = limits): RawRecord[] {
  const scanner = new RecordScanner(bounds);
  const places = [0, ...[...cuts].sort((a, b) => a - b), text.length];
  const records = places.slice(1).flatMap((end, i) => scanner.push(text.slice(places[i], end)));
  scanner.end();
  return records;
}

function failure(text: string): ScanError {
  try {
    scan(text);
  } catch (error) {
    assert.ok(error instanceof ScanError, String(error));
    return error;
  }
  throw new Error(`${JSON.stringify(text)} was accepted`);
}

test("records come with their index and the line they start on", () => {
  const records = scan('{"result":[\n{"a":"1"},\n\n  {"b":{"c":"]}"}}\n]}\n');
  assert.deepEqual(records, [
    { index: 0, line: 2, text: '{"a":"1"}', fault: null },
    { index: 1, line: 4, text: '{"b":{"c":"]}"}}', fault: null },
  ]);
});

test("other fields before and after the list, and a list of the same name further in, do not confuse it", () => {
  const text = '{"status":"ok","x":{"result":[{"no":1}]},"y":["result",[2]],"result":[{"yes":1}],"z":"result"}';
  assert.deepEqual(
    scan(text).map((r) => r.text),
    ['{"yes":1}'],
  );
});

test("a bare list and the key `records` are read too", () => {
  assert.equal(scan('[{"a":1},{"a":2}]').length, 2);
  assert.equal(scan('{"records":[{"a":1}]}').length, 1);
  assert.equal(scan('{"result":[]}').length, 0);
});

test("entries that are no objects are handed on for the finding", () => {
  assert.deepEqual(
    scan('{"result":[1, "a,]b" ,null,[2,[3]]]}').map((r) => r.text),
    ["1", '"a,]b" ', "null", "[2,[3]]"],
  );
});

test("whatever the chunks, the records are those of JSON.parse", () => {
  const value = fc.array(fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 }), {
    maxLength: 6,
  });
  fc.assert(
    fc.property(value, fc.boolean(), fc.array(fc.nat(400), { maxLength: 8 }), (records, pretty, cuts) => {
      const text = JSON.stringify({ before: records, result: records, after: "]" }, null, pretty ? 1 : undefined);
      const found = scan(
        text,
        cuts.filter((cut) => cut < text.length),
      );
      assert.deepEqual(
        found.map((r) => JSON.parse(r.text)),
        JSON.parse(JSON.stringify(records)),
      );
      assert.deepEqual(
        found.map((r) => r.index),
        [...records.keys()],
      );
    }),
  );
});

test("text that is no export is refused with its line and column", () => {
  const cases: [text: string, message: RegExp, line: number, column: number][] = [
    ["", /no list `result`/, 1, 1],
    ["<html>", /no JSON object/, 1, 1],
    ['{"error":{"message":"User Not Authenticated"}}', /no list `result`/, 1, 47],
    ['{"result":{"a":1}}', /no list `result`/, 1, 19],
    ['{"result":[\n{"a":1}', /breaks off/, 2, 8],
    ['{"result":[{"a":"1]}', /breaks off/, 1, 21],
    ['{"result":[\n{"a":1}\n{"b":1}]}', /no comma between two records/, 3, 1],
    ['{"result":[{},]}', /a comma without a record after it/, 1, 15],
    ['{"result":[,{}]}', /a comma without a record before it/, 1, 12],
    ['{"result":[{"a":[1}]}', /closes nothing/, 1, 19],
    ['{"result":[]} x', /after the end/, 1, 15],
    ['{"result":[}', /where a record belongs/, 1, 12],
  ];
  for (const [text, message, line, column] of cases) {
    const error = failure(text);
    assert.match(error.message, message, text);
    assert.deepEqual([error.line, error.column], [line, column], text);
  }
});

test("a record that is too long or too deep is named and the next one is read", () => {
  const deep = `${"[".repeat(40)}${"]".repeat(40)}`;
  const records = scan(`{"result":[{"a":"${"x".repeat(200)}"},{"b":${deep}},{"c":1}]}`, [50, 120], {
    maxRecordLength: 150,
    maxDepth: 16,
  });
  assert.deepEqual(
    records.map((r) => [r.fault, r.text]),
    [
      ["too long", ""],
      ["too deep", ""],
      [null, '{"c":1}'],
    ],
  );
});

test("brackets without end are refused before they fill the memory", () => {
  assert.match(failure(`{"result":[${"[".repeat(100_000)}`).message, /nesting deeper/);
});
