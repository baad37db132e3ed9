import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { LockHeld, makerLock } from "./maker-lock.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-lock-"));
after(() => rm(scratch, { recursive: true, force: true }));
const path = join(scratch, "make.lock");

test("a second maker is told who holds the lock, or waits until it is given back", async () => {
  const first = await makerLock(path, 0);
  await assert.rejects(makerLock(path, 0), (thrown) => thrown instanceof LockHeld && thrown.pid === process.pid);
  const order: string[] = [];
  const second = makerLock(path, 60_000).then((lock) => {
    order.push("second");
    return lock;
  });
  await new Promise((done) => setTimeout(done, 300));
  order.push("given back");
  await first[Symbol.asyncDispose]();
  await (await second)[Symbol.asyncDispose]();
  assert.deepEqual(order, ["given back", "second"]);
  assert.deepEqual(await readdir(scratch), []);
});

test("of many who ask at once one holds the lock at a time, and each gets it", async () => {
  let holders = 0;
  let served = 0;
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      await using _lock = await makerLock(path, 60_000);
      assert.equal(++holders, 1);
      await new Promise((done) => setTimeout(done, 5));
      holders--;
      served++;
    }),
  );
  assert.equal(served, 4);
  assert.deepEqual(await readdir(scratch), []);
});

test("the lock of a process that is gone, or one without a process, is taken over", async () => {
  const { pid } = spawnSync(process.execPath, ["--version"]);
  for (const left of [String(pid), "", "nobody"]) {
    await writeFile(path, left);
    const lock = await makerLock(path, 0);
    await lock[Symbol.asyncDispose]();
    assert.equal(existsSync(path), false);
  }
});
