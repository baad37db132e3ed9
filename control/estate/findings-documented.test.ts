import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { ERROR_CODES } from "../../common/error-codes.ts";

test("every finding code of ingest and estate is explained in the reference page, and no other", async () => {
  const page = await readFile("docs/reference/estate.md", "utf8");
  const used = new Set<string>();
  for (const folder of ["control/ingest", "control/estate"]) {
    for (const file of await readdir(folder)) {
      if (!file.endsWith(".ts") || /\.(test|fixture)\.ts$/.test(file)) continue;
      const source = await readFile(`${folder}/${file}`, "utf8");
      for (const [, code] of source.matchAll(/"([A-Z]+(?:_[A-Z]+)+)"/g)) used.add(code!);
    }
  }
  for (const code of Object.keys(ERROR_CODES)) used.delete(code);
  const table = page.slice(page.indexOf("## Findings"));
  const documented = new Set([...table.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, code]) => code!));
  assert.deepEqual([...documented].sort(), [...used].sort());
});
