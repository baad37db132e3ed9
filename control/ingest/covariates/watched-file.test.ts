import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readHolidays } from "./dated-csv.ts";
import { WatchedFile } from "./watched-file.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-watched-"));
after(() => rm(scratch, { recursive: true, force: true }));

test("a watched file is read when it changed, keeps what it had when it cannot be read, and tells why", async () => {
  const file = join(scratch, "holidays.csv");
  let reads = 0;
  const watched = new WatchedFile({
    files: () => [file],
    read: () => {
      reads++;
      return readHolidays(file);
    },
  });
  assert.equal(await watched.look(), false);
  assert.deepEqual([watched.value, watched.error?.code], [null, "COVARIATE_INVALID"]);
  await writeFile(file, "date,name\n2026-12-25,Christmas\n");
  assert.equal(await watched.look(), true);
  assert.deepEqual([watched.value?.length, watched.error, watched.writtenAtMs !== null], [1, null, true]);
  assert.deepEqual([await watched.look(), reads], [false, 1]);
  await writeFile(file, "date,name\n2026-12-25,Christmas\n2026-12-99,broken\n");
  assert.equal(await watched.look(), false);
  assert.match(watched.error!.message, /holidays\.csv:3: found "2026-12-99"/);
  assert.equal(watched.value?.length, 1);
  assert.deepEqual([await watched.look(), reads], [false, 2], "a file that is wrong is not read again and again");
  await rm(file);
  await watched.look();
  assert.match(watched.error!.message, /ENOENT/);
  assert.equal(watched.value?.length, 1);
  await writeFile(file, "date,name\n2026-12-25,Christmas\n2026-12-26,Boxing Day\n");
  assert.equal(await watched.look(), true);
  assert.deepEqual([watched.value?.length, watched.error], [2, null]);
});

test("a file of more bytes than may be read again is refused before it is read", async () => {
  const file = join(scratch, "large");
  await writeFile(file, "x".repeat(100));
  const watched = new WatchedFile({ files: () => [file], read: () => assert.fail("it was read"), maxBytes: 99 });
  await watched.look();
  assert.match(watched.error!.message, /100 bytes; at most 99/);
});
