import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { glob } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const REPO = join(import.meta.dirname, "..");
/** As control/README.md lists them, in the order of the data. */
const ROOMS = [...readFileSync(join(import.meta.dirname, "README.md"), "utf8").matchAll(/^\| \[(\w+)\/\]/gm)].map(
  ([, name]) => name!,
);
/** Policies are defined by the rooms that follow them, and read by the one that knows YAML. */
const AGAINST_THE_DATA = ["config → plan", "config → rollout"];
const IMPORT = /(?:^(?:import|export)\b[^;"]*?|\bimport\(\s*)"(\.[^"]+)"/gm;

/** What stands beside the code for tests and for what plays Envoy to them. */
const isTest = (path: string): boolean => /\.(test|fixture)\.ts$|\/test-/.test(path);

async function arrows(): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for await (const path of glob("control/**/*.ts", { cwd: REPO })) {
    if (isTest(path)) continue;
    for (const [, target] of readFileSync(join(REPO, path), "utf8").matchAll(IMPORT)) {
      const to = relative(REPO, join(REPO, dirname(path), target!));
      const [from, into] = [path, to].map((one) => (one.startsWith("control/") ? one.split("/")[1]! : one));
      if (from === into) continue;
      const arrow = `${from} → ${into}`;
      found.set(arrow, [...(found.get(arrow) ?? []), `${path} imports ${to}`]);
    }
  }
  return found;
}

test("a room imports only from rooms above it in control/README.md and from common/", async () => {
  const all = await arrows();
  assert.ok(ROOMS.length > 10 && all.size > ROOMS.length, "rooms and imports were found");
  const against = [...all].filter(([arrow]) => {
    const [from, into] = arrow.split(" → ") as [string, string];
    if (!ROOMS.includes(from)) return true;
    if (!ROOMS.includes(into)) return !into.startsWith("common/") && from !== "cli";
    return ROOMS.indexOf(into) > ROOMS.indexOf(from);
  });
  assert.deepEqual(
    against.filter(([arrow]) => !AGAINST_THE_DATA.includes(arrow)).flatMap(([, files]) => files),
    [],
  );
  assert.deepEqual(
    AGAINST_THE_DATA.filter((arrow) => !all.has(arrow)),
    [],
    "an exception that nothing needs",
  );
});
