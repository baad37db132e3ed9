import { glob } from "node:fs/promises";
import { join, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { mergedPhases } from "./lib/merged-phases.ts";

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
 * takes: one at a time, since two at a time fail on a machine that is busy otherwise.
 */
const isUnit = (path: string): boolean => !path.startsWith("test");
const PHASES: { holds: (path: string) => boolean; concurrency: number }[] = [
  { holds: isUnit, concurrency: 2 },
  { holds: (path) => !isUnit(path), concurrency: 1 },
];

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

const phases = PHASES.map(({ holds, concurrency }) => ({ files: found.filter(holds), concurrency })).filter(
  ({ files }) => files.length > 0,
);
// Ctrl-C goes to the test files as well; the runner's end then tells what was running.
process.on("SIGINT", () => {});
mergedPhases(
  phases.map(
    ({ files, concurrency }) =>
      () =>
        run({ files: files.map((path) => join(ROOT, path)), concurrency, timeout: FILE_TIMEOUT_MS, cwd: ROOT }),
  ),
  () => {
    process.exitCode = 1;
  },
)
  .compose(spec)
  .pipe(process.stdout);
