import assert from "node:assert/strict";
import { test } from "node:test";
import { withSection } from "./results.ts";
import { formatTable } from "./table.ts";

test("a section replaces its last version and leaves the others alone, in alphabetical order", () => {
  let text = withSection("", "split", "old");
  text = withSection(text, "hot-path", "cpu");
  text = withSection(text, "split", "new $1 figures");
  assert.ok(!text.includes("old"));
  assert.ok(text.indexOf("## hot-path\n\ncpu") < text.indexOf("## split\n\nnew $1 figures"));
  assert.equal(withSection(text, "split", "new $1 figures"), text);
});

test("numbers are aligned to the right and words to the left", () => {
  assert.equal(
    formatTable(
      ["row", "µs", "note"],
      [
        ["none", "9.5", "a"],
        ["lua", "10.25", "bc"],
      ],
    ),
    ["| row  |    µs | note |", "|------|------:|------|", "| none |   9.5 | a    |", "| lua  | 10.25 | bc   |"].join(
      "\n",
    ),
  );
});
