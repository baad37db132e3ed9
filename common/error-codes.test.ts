import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { ERROR_CODES } from "./error-codes.ts";

const page = await readFile("docs/reference/errors.md", "utf8");
const sections = page
  .split(/^## /m)
  .slice(1)
  .map((text) => ({ code: text.slice(0, text.indexOf("\n")).trim(), text }));

test("every error code has a section in the reference page, and every section a code", () => {
  assert.deepEqual(
    sections.map(({ code }) => code),
    Object.keys(ERROR_CODES).sort(),
    "sections stand in the order of the codes",
  );
});

test("a section names the exit code of the command line and the status of the HTTP API that the table has", () => {
  for (const { code, text } of sections) {
    const entry: { exit: number; http?: number } = ERROR_CODES[code as keyof typeof ERROR_CODES];
    const said = /^Exit (\d+)(?:, status (\d+))?\./m.exec(text);
    assert.ok(said !== null, `${code} begins with its exit code`);
    assert.equal(Number(said[1]), entry.exit, code);
    const status = said[2] === undefined ? undefined : Number(said[2]);
    if (entry.http !== undefined) assert.equal(status, entry.http, code);
    else assert.ok(status === undefined || status === 409, `${code}: status ${status}`);
  }
});

test("codes stand in order and every hint is a sentence", () => {
  const codes = Object.keys(ERROR_CODES);
  assert.deepEqual(codes, [...codes].sort());
  for (const [code, { hint }] of Object.entries(ERROR_CODES)) assert.match(hint, /^[A-Z`a-z].*[.)]$/s, code);
});
