import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, type TestContext, test } from "node:test";
import { mergedPhases } from "./merged-phases.ts";

/** A test file that fails the first `failures` times it is run. */
function fileThatFails(t: TestContext, failures: number): string {
  const folder = mkdtempSync(join(tmpdir(), "ballast-phases-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "some.test.mjs");
  writeFileSync(
    path,
    `import { test } from "node:test";
import { appendFileSync, readFileSync } from "node:fs";
appendFileSync(${JSON.stringify(join(folder, "runs"))}, ".");
const runs = readFileSync(${JSON.stringify(join(folder, "runs"))}, "utf8").length;
test("waits for its engine", () => { if (runs <= ${failures}) throw new Error("no engine yet in run " + runs); });
test("has another", () => {});
`,
  );
  return path;
}

async function outcome(phases: { path: string; secondTry: boolean }[]) {
  let failed = 0;
  const passes: string[] = [];
  const messages: string[] = [];
  // Without this a run inside a test file takes itself for that file's and starts nothing.
  const { NODE_TEST_CONTEXT } = process.env;
  delete process.env.NODE_TEST_CONTEXT;
  const starts = phases.map(({ path, secondTry }) => ({ start: () => run({ files: [path] }), secondTry }));
  for await (const { type, data } of mergedPhases(starts, () => failed++)) {
    if (type === "test:pass") passes.push(data.name);
    if (type === "test:diagnostic") messages.push(data.message);
  }
  if (NODE_TEST_CONTEXT !== undefined) process.env.NODE_TEST_CONTEXT = NODE_TEST_CONTEXT;
  return { failed, passes, messages, text: messages.join("\n") };
}

test("what fails once and then passes counts as passed, and the summary names it", async (t) => {
  const { failed, text, messages } = await outcome([{ path: fileThatFails(t, 1), secondTry: true }]);
  assert.equal(failed, 0);
  assert.match(text, /no engine yet in run 1/);
  assert.match(text, /^failed at the first try: .*some\.test\.mjs: waits for its engine$/m);
  assert.ok(messages.includes("tests 2") && messages.includes("pass 2") && messages.includes("fail 0"), text);
});

test("what fails twice fails, and is not tried a third time", async (t) => {
  const { failed, text, messages } = await outcome([{ path: fileThatFails(t, 2), secondTry: true }]);
  assert.ok(failed > 0);
  assert.doesNotMatch(text, /run 3/);
  assert.ok(messages.includes("fail 1"), text);
});

test("a phase of one try fails at once, and the counts of all phases are added", async (t) => {
  const phases = [
    { path: fileThatFails(t, 1), secondTry: false },
    { path: fileThatFails(t, 0), secondTry: true },
  ];
  const { failed, passes, messages, text } = await outcome(phases);
  assert.ok(failed > 0);
  assert.doesNotMatch(text, /first try/);
  assert.deepEqual(passes, ["has another", "waits for its engine", "has another"]);
  assert.ok(messages.includes("tests 4") && messages.includes("fail 1"), text);
});
