import assert from "node:assert/strict";
import { appendFile, mkdtemp, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { LogTail, type LogTailOptions } from "./log-tail.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-tail-"));
const tails: LogTail[] = [];
after(async () => {
  for (const tail of tails) await tail.close();
  await rm(scratch, { recursive: true, force: true });
});
let files = 0;

async function followed(text: string, options: Partial<LogTailOptions> = {}) {
  const file = join(scratch, `${files++}.log`);
  await writeFile(file, text);
  const lines: (string | null)[] = [];
  let gaps = 0;
  const tail = new LogTail({ file, onLine: (line) => lines.push(line), onGap: () => gaps++, ...options });
  tails.push(tail);
  return {
    file,
    lines,
    gaps: () => gaps,
    poll: async () => {
      while (await tail.poll());
    },
  };
}

describe("a followed log", () => {
  test("gives each line once its end is there, whatever the pieces in which it was written", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.stringMatching(/^[a-zé☃]{0,30}$/), { minLength: 1, maxLength: 20 }),
        fc.array(fc.nat(40), { maxLength: 12 }),
        async (written, cuts) => {
          const log = await followed("");
          let rest = Buffer.from(written.map((line) => `${line}\n`).join(""));
          for (const cut of cuts) {
            await appendFile(log.file, rest.subarray(0, cut));
            rest = rest.subarray(cut);
            await log.poll();
          }
          await appendFile(log.file, rest);
          await log.poll();
          assert.deepEqual(log.lines, written);
        },
      ),
      { numRuns: 25 },
    );
  });

  test("that is rotated is read to its end, then the new file from its start", async () => {
    const log = await followed("a\n");
    await log.poll();
    await appendFile(log.file, "b\nhalf");
    await rename(log.file, `${log.file}.1`);
    // There is no other file yet.
    await log.poll();
    await appendFile(`${log.file}.1`, " a line\n");
    await writeFile(log.file, "c\n");
    await log.poll();
    assert.deepEqual(log.lines, ["a", "b", "half a line", "c"]);
    assert.equal(log.gaps(), 0);
  });

  test("that is truncated in place is read from its start, without the beginning of a line that is gone", async () => {
    const log = await followed("a\nhalf");
    await log.poll();
    await truncate(log.file, 0);
    await appendFile(log.file, "b\n");
    await log.poll();
    assert.deepEqual(log.lines, ["a", "b"]);
  });

  test("that is not there is an error, and is followed when it comes", async () => {
    const log = await followed("");
    await rm(log.file);
    await assert.rejects(log.poll(), { code: "ENOENT" });
    await writeFile(log.file, "a\n");
    await log.poll();
    assert.deepEqual(log.lines, ["a"]);
  });

  test("that is longer than may be read is begun at a whole line near its end, and the gap is told", async () => {
    const log = await followed(Array.from({ length: 100 }, (_, i) => `line ${i}\n`).join(""), { maxBehindBytes: 30 });
    await log.poll();
    assert.deepEqual(log.lines, ["line 97", "line 98", "line 99"]);
    assert.equal(log.gaps(), 1);
    await appendFile(log.file, "next\n");
    await log.poll();
    assert.deepEqual([log.lines.at(-1), log.gaps()], ["next", 1]);
  });

  test("costs no memory for an endless line", async () => {
    const log = await followed(`${"x".repeat(5_000)}\nshort\n`, { maxLineBytes: 100, maxBytesPerPoll: 700 });
    await log.poll();
    assert.deepEqual(log.lines, [null, "short"]);
  });
});
