import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ServedRecorder } from "./served-recorder.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-recorder-"));
after(() => rm(scratch, { recursive: true, force: true }));

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await sleep(5);
}

describe("the record of served inputs", () => {
  const rows = Float32Array.of(1, 5, 2, 6, 1, 7, 2, 8);

  test("is on disk after the first batch and then at most once a minute", async () => {
    let now = 0;
    const dir = join(scratch, "a");
    const about = async () =>
      JSON.parse(await readFile(join(dir, "served.json"), "utf8").catch(() => "{}")) as { seen?: number };
    const onFailure = (cause: Error) => assert.fail(cause);
    const recorder = new ServedRecorder({
      dir,
      schemaHash: "x",
      columns: ["step", "level"],
      monotonicMs: () => now,
      onFailure,
    });
    recorder.observe(rows, 4);
    await until(async () => (await about()).seen === 2);
    recorder.observe(rows, 4);
    await sleep(30);
    assert.equal((await about()).seen, 2);
    now = 60_000;
    recorder.observe(rows, 4);
    await until(async () => (await about()).seen === 6);
  });

  test("that cannot be written says so once and lets serving go on", async () => {
    const file = join(scratch, "file");
    await writeFile(file, "");
    const failures: Error[] = [];
    const onFailure = (cause: Error) => void failures.push(cause);
    const recorder = new ServedRecorder({
      dir: join(file, "b"),
      schemaHash: "x",
      columns: ["step", "level"],
      writeEveryMs: 0,
      onFailure,
    });
    recorder.observe(rows, 4);
    await until(() => failures.length > 0);
    recorder.observe(rows, 4);
    await sleep(20);
    assert.equal(failures.length, 1);
    assert.match(failures[0]!.message, /ENOTDIR/);
  });
});
