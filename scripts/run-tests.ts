import { spawn } from "node:child_process";
import { glob } from "node:fs/promises";
import { join, resolve } from "node:path";

/**
 * Runs the tests in one invocation of Node's test runner, so that its summary at the end counts them all. One file at a time, units
 * first: the end-to-end tests run an Envoy and a load each and would disturb one another, and a broken unit is seen before they start.
 *
 *     npm test                     everything
 *     npm test -- control/plan     the test files whose path contains one of the words
 */
const ROOT = resolve(import.meta.dirname, "..");
const SKIPPED_FOLDERS = new Set(["node_modules", ".ballast", ".venv", "build", ".git"]);
const END_TO_END = join("test", "e2e");
/** Longest time for one file; the longest demo run in a test takes two minutes. */
const FILE_TIMEOUT_MS = 600_000;

const words = process.argv.slice(2);
const found: string[] = [];
for await (const path of glob("**/*.test.ts", { cwd: ROOT, exclude: (path) => SKIPPED_FOLDERS.has(path) })) {
  if (words.length === 0 || words.some((word) => path.includes(word))) found.push(path);
}
if (found.length === 0) {
  process.stderr.write(`no test file matches ${words.join(" ")}\n`);
  process.exit(1);
}
const isEndToEnd = (path: string): boolean => path.startsWith(END_TO_END);
const files = [...found.filter((path) => !isEndToEnd(path)).sort(), ...found.filter(isEndToEnd).sort()];

const flags = ["--test", "--test-concurrency=1", `--test-timeout=${FILE_TIMEOUT_MS}`];
const runner = spawn(process.execPath, [...flags, ...files], { cwd: ROOT, stdio: "inherit" });
// The runner's own handling of Ctrl-C prints what was running; we only have to outlive it.
process.on("SIGINT", () => {});
runner.on("exit", (exitCode, signal) => {
  process.exitCode = signal === null ? (exitCode ?? 1) : 1;
});
