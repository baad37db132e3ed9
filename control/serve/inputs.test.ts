import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { BallastError } from "../../common/errors.ts";
import { loadInputs } from "./inputs.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ballast-inputs-"));
});
after(() => rm(folder, { recursive: true }));

/** What loading the demo's ballast.yaml throws after one replacement. */
async function failure(from: string, to: string): Promise<BallastError> {
  const text = await readFile("demo/ballast.yaml", "utf8");
  assert.ok(text.includes(from));
  const file = join(folder, "ballast.yaml");
  await writeFile(file, text.replace(from, to));
  const error = await loadInputs(file, () => 0).then(
    () => assert.fail("it was loaded"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof BallastError);
  return error;
}

/** Line of ballast.yaml, from 1, on which `text` stands. */
async function lineOf(text: string): Promise<number> {
  const lines = (await readFile(join(folder, "ballast.yaml"), "utf8")).split("\n");
  return lines.findIndex((line) => line.includes(text)) + 1;
}

test("a path that leads nowhere is told with the line of the setting that names it", async () => {
  const estate = await failure("servicenow: demo/estate", "servicenow: no/such-folder");
  assert.deepEqual([estate.code, estate.position?.line], ["ESTATE_UNREADABLE", await lineOf("no/such-folder")]);
  assert.match(estate.message, /ballast\.yaml:\d+:\d+ \(estate\.servicenow\): no\/such-folder: ENOENT/);
  const history = await failure("csv: demo/estate/load_history.csv", "csv: no/such.csv");
  assert.deepEqual([history.code, history.position?.line], ["HISTORY_INVALID", await lineOf("no/such.csv")]);
  assert.match(history.message, /\(history\.csv\): no\/such\.csv: ENOENT/);
});

test("a mistake inside a file keeps the file's own line", async () => {
  const bad = join(folder, "bad.csv");
  await writeFile(bad, "time,payments\n2026-03-02T00:00:00Z,many\n");
  const { position } = await failure("csv: demo/estate/load_history.csv", `csv: ${bad}`);
  assert.deepEqual([position?.file, position?.line], [bad, 2]);
});
