import { glob } from "node:fs/promises";
import { join, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { inCi } from "./lib/in-ci.ts";
import { mergedPhases, type Phase } from "./lib/merged-phases.ts";
import { propertySeed } from "./lib/property-seed.ts";

/**
 * Runs the tests in phases of one process each file, with one summary at the end that counts them all. Units first, so that a
 * broken one is seen before the end-to-end tests start.
 *
 *     npm test                     everything
 *     npm test -- control/plan     the test files whose path contains one of the words
 */
const ROOT = resolve(import.meta.dirname, "..");
const SKIPPED_FOLDERS = new Set(["node_modules", ".ballast", ".venv", "build", ".git"]);
/** Longest time for one file; the longest demo run in a test takes two minutes. */
const FILE_TIMEOUT_MS = 600_000;

/**
 * Units two at a time: they wait as much as they work. What lies under test/ runs Envoys and loads, and some of it measures how long something
 * takes: one at a time, since two at a time fail on a machine that is busy otherwise, and in CI with a second try, which the summary
 * names. A unit has one try.
 */
const isUnit = (path: string): boolean => !path.startsWith("test");

const words = process.argv.slice(2);
const found: string[] = [];
for await (const path of glob("**/*.test.ts", { cwd: ROOT, exclude: (path) => SKIPPED_FOLDERS.has(path) })) {
  if (words.length === 0 || words.some((word) => path.includes(word))) found.push(path);
}
if (found.length === 0) {
  process.stderr.write(`no test file matches ${words.join(" ")}\n`);
  process.exit(1);
}
found.sort();

const { seed, from } = propertySeed(ROOT, process.env);
process.stdout.write(`property tests: seed ${seed}, from the ${from}; the same again: BALLAST_PROPERTY_SEED=${seed}\n`);
process.env.BALLAST_PROPERTY_SEED = String(seed);
const phase = (files: string[], concurrency: number, secondTry: boolean): Phase => ({
  start: () =>
    run({
      files: files.map((path) => join(ROOT, path)),
      concurrency,
      timeout: FILE_TIMEOUT_MS,
      cwd: ROOT,
      execArgv: ["--import", join(ROOT, "scripts/lib/seed-properties.ts")],
    }),
  secondTry,
});
const units = found.filter(isUnit);
const phases = [
  ...(units.length > 0 ? [phase(units, 2, false)] : []),
  ...found.filter((path) => !isUnit(path)).map((path) => phase([path], 1, inCi(process.env))),
];
// Ctrl-C goes to the test files as well; the runner's end then tells what was running.
process.on("SIGINT", () => {});
mergedPhases(phases, () => {
  process.exitCode = 1;
})
  .compose(spec)
  .pipe(process.stdout);
