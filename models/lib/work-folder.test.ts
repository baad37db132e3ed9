import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { takeWorkFolder } from "./work-folder.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-work-folder-"));
after(() => rm(scratch, { recursive: true, force: true }));

test("one training at a time has a folder, and the next one takes it when it is given back", async () => {
  const path = join(scratch, "one");
  const taken = await takeWorkFolder(path);
  await assert.rejects(takeWorkFolder(path), new RegExp(`TRAIN_BUSY: process ${process.pid} trains in ${path}`));
  await taken[Symbol.asyncDispose]();
  await (await takeWorkFolder(path))[Symbol.asyncDispose]();
});

test("a folder of a process that is gone is taken over, with what it left", async () => {
  const path = join(scratch, "gone");
  await mkdir(join(path, "files"), { recursive: true });
  await writeFile(join(path, "files/spec.json"), "{}");
  await writeFile(join(path, "training.lock"), "2147483646");
  await (await takeWorkFolder(path))[Symbol.asyncDispose]();
  assert.equal(await readFile(join(path, "files/spec.json"), "utf8"), "{}");
});

test("a folder of somebody else's files is not taken where a training would delete them", async () => {
  for (const name of ["files", "made"]) {
    const path = join(scratch, `home-${name}`);
    await mkdir(join(path, name), { recursive: true });
    await writeFile(join(path, name, "letter.txt"), "mine");
    await assert.rejects(
      takeWorkFolder(path),
      new RegExp(`TRAIN_FOLDER_UNFIT: .* holds ${name}/, which no training left`),
    );
    assert.equal(await readFile(join(path, name, "letter.txt"), "utf8"), "mine");
  }
});
