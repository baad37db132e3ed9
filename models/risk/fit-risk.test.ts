import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { SeededRandom } from "../../control/features/seeded-random.ts";
import { makePythonEnvironment } from "../trees/environment.ts";
import { askFile } from "./ask-file.ts";
import { fitRisk } from "./fit-risk.ts";

const venv = join(dirname(fileURLToPath(import.meta.url)), "../../.ballast/venv");
/** In CI the environment is made, and the test fails where it cannot be. */
const skip =
  (process.env.CI ?? "") !== "" || existsSync(venv)
    ? false
    : "the training environment is not installed (ballast train-risk makes it)";
const scratch = await mkdtemp(join(tmpdir(), "ballast-fit-"));
after(() => rm(scratch, { recursive: true, force: true }));

const WIDTH = 3;
const ROWS = 3_000;
/** Column 0 lowers the log-odds by its whole value, column 1 raises them, column 2 does when it is blank. */
const logit = (a: number, b: number, blank: boolean): number => -1 - a + 1.5 * b + (blank ? 1.5 : 0);

function rowsFile(): Uint8Array {
  const random = new SeededRandom(8);
  const values: number[] = [];
  for (let i = 0; i < ROWS; i++) {
    const [a, b, blank] = [random.normal(), random.normal(), random.next() < 0.3];
    const degraded = random.next() < 1 / (1 + Math.exp(-logit(a, b, blank)));
    values.push(a, b, blank ? Number.NaN : random.normal(), Number(degraded), i < 0.7 * ROWS ? 0 : 1, 1);
  }
  return new Uint8Array(Float32Array.from(values).buffer);
}

test("both halves learn what made the data, blanks too, but not a sign that is forbidden, and stay level outside what was seen", {
  skip,
}, async () => {
  const python = await makePythonEnvironment(venv, () => undefined);
  const at = { workDir: join(scratch, "work"), python, seed: 3, schemaHash: "test", progress: () => undefined };
  const { effect, gain } = await fitRisk({ ...at, file: rowsFile(), monotone: [1, 0, 0] });
  const ask = (rows: readonly number[][]) =>
    askFile(join(at.workDir, "risk.onnx"), Float32Array.from(rows.flat()), WIDTH);
  assert.equal(effect[0], 0, "the regression may not learn that column 0 lowers the risk");
  assert.ok(effect[1]! > 0.5 && gain[1]! > 0.5);

  const told = await ask([
    [0, -1, 0],
    [0, 1, 0],
    [0, 0, Number.NaN],
  ]);
  for (const [i, x] of [logit(0, -1, false), logit(0, 1, false), logit(0, 0, true)].entries()) {
    const truth = 1 / (1 + Math.exp(-x));
    assert.ok(Math.abs(told[i]! - truth) < 0.15, `case ${i}: ${told[i]} for ${truth}`);
  }
  const steps = Array.from({ length: 41 }, (_, i) => (i - 20) / 5);
  const rising = await ask(steps.map((x) => [x, 0.5, 0]));
  for (const [i, p] of rising.entries()) assert.ok(i === 0 || p >= rising[i - 1]! - 1e-7, `at ${steps[i]}`);
  const [far, further] = await ask([
    [0, 100, 0],
    [0, 1e6, 0],
  ]);
  assert.equal(far, further);
});
