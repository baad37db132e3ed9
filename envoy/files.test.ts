import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { committedFiles } from "./render/files.ts";

test("the committed configurations are what the renderer writes: npx node envoy/write-files.ts", async () => {
  const written = committedFiles();
  const found = (await readdir(import.meta.dirname)).filter((name) => name.endsWith(".yaml")).sort();
  assert.deepEqual(found, [...written.keys()].sort());
  for (const [name, text] of written) assert.equal(await readFile(join(import.meta.dirname, name), "utf8"), text, name);
});
