import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { propertySeed } from "./property-seed.ts";

test("in CI the seed is decided by the committed files alone: another commit of the same files has the same", (t) => {
  const root = mkdtempSync(join(tmpdir(), "ballast-seed-"));
  t.after(() => rmSync(root, { recursive: true }));
  const git = (...words: string[]) =>
    execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", ...words], { cwd: root, stdio: "ignore" });
  const commit = (text: string, message: string) => {
    writeFileSync(join(root, "file"), text);
    git("add", ".");
    git("commit", "-qm", message, "--allow-empty");
    return propertySeed(root, { CI: "true" });
  };
  git("init", "-q");
  const first = commit("one", "first");
  assert.equal(first.from, "tree");
  assert.deepEqual(commit("one", "second"), first);
  assert.notEqual(commit("two", "third").seed, first.seed);
  assert.deepEqual(commit("one", "fourth"), first);
  assert.equal(propertySeed(root, { CI: "true", BALLAST_PROPERTY_SEED: "7" }).seed, 7);
});

test("elsewhere it is by chance, and what is given must be a seed", () => {
  assert.equal(propertySeed(tmpdir(), {}).from, "chance");
  assert.equal(propertySeed(tmpdir(), { CI: "true" }).from, "chance");
  for (const text of ["1.5", "-1", "x", "4294967296"])
    assert.throws(() => propertySeed(".", { BALLAST_PROPERTY_SEED: text }), RangeError, text);
});

test("the properties of a test file take the seed of its run", { skip: seedOfRun() === null }, () => {
  assert.equal(fc.readConfigureGlobal().seed, seedOfRun());
});

/** Null where the file was started without the runner. */
function seedOfRun(): number | null {
  const { BALLAST_PROPERTY_SEED } = process.env;
  return BALLAST_PROPERTY_SEED === undefined ? null : Number(BALLAST_PROPERTY_SEED);
}
