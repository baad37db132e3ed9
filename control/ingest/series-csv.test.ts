import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import { readSeriesCsv } from "./series-csv.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-series-"));
after(() => rm(scratch, { recursive: true, force: true }));
let files = 0;

async function read(text: string, time = "t", value = "v") {
  const file = join(scratch, `${files++}.csv`);
  await writeFile(file, text);
  return await readSeriesCsv(file, { time, value });
}

describe("a series in a CSV file", () => {
  test("is read whatever the separator, the quotes, and the form of the times", async () => {
    const expected = [1, 2.5, -3];
    for (const text of [
      "t,v\n2026-01-01T00:00:00Z,1\n2026-01-01T00:05:00Z,2.5\n2026-01-01T00:10:00Z,-3\n",
      "x;t;v\r\n0;2026-01-01 00:00:00;1\r\n0;2026-01-01 00:05:00;2.5\r\n0;2026-01-01 00:10:00;-3\r\n",
      'v\tt\n1\t1767225600\n2.5\t1767225900\n"-3"\t1767226200\n',
      '\ufefft,name,v\n1767225600000,"a, ""b""",1\n1767225900000,,2.5\n1767226200000,c,-3',
    ]) {
      const { values, stepMs, startMs, missing } = await read(text);
      assert.deepEqual([...values], expected);
      assert.equal(stepMs, 300_000);
      assert.equal(startMs, Date.parse("2026-01-01T00:00:00Z"));
      assert.equal(missing, 0);
    }
  });

  test("has gaps where rows or cells are missing", async () => {
    const { values, missing } = await read("t,v\n0,1\n60,\n120,3\n180,NaN\n240,5\n420,8\n480,9\n");
    assert.deepEqual([...values], [1, Number.NaN, 3, Number.NaN, 5, Number.NaN, Number.NaN, 8, 9]);
    assert.equal(missing, 4);
  });

  test("has decimal commas where the separator is none, blanks around names, and fields over lines", async () => {
    assert.deepEqual([...(await read("t; v\n0;1,5\n60;-,25\n120;1e3\n")).values], [1.5, -0.25, 1000]);
    assert.deepEqual([...(await read('t,note,v\n0,"a\nb, ""c""\n",1\n60,,2\n120,"d",3\n')).values], [1, 2, 3]);
    await assert.rejects(read('t,v\n0,"1,5"\n60,2\n120,3\n'), /csv:2.*1,5 is not a number/);
    await assert.rejects(read('t,v\n0,1\n60,"2\n120,3\n'), /csv:3.*a quote is not closed/);
    await assert.rejects(read("t,v,v\n0,1,2\n60,1,2\n120,1,2\n"), /csv:1.*two columns v, the 2. and the 3./);
  });

  test("keeps its steps when clocks jitter", async () => {
    const { values } = await read("t,v\n0,1\n60,2\n120,3\n199,4\n240,5\n300,6\n");
    assert.deepEqual([...values], [1, 2, 3, 4, 5, 6]);
  });

  test("has a step per month, though months differ", async () => {
    const months = Array.from(
      { length: 144 },
      (_, m) => `${1949 + Math.floor(m / 12)}-${String(1 + (m % 12)).padStart(2, "0")}-01,${m}`,
    );
    const { values, missing } = await read(`t,v\n${months.join("\n")}\n`);
    assert.deepEqual(
      [...values],
      Array.from({ length: 144 }, (_, m) => m),
    );
    assert.equal(missing, 0);
  });

  test("comes back as it was written, for any numbers", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 3 }),
        async (numbers) => {
          const { values } = await read(`t,v\n${numbers.map((n, i) => `${1e9 + 10 * i},${n}`).join("\n")}`);
          numbers.forEach((n, i) => {
            assert.ok(values[i] === n || (n === 0 && values[i] === 0));
          });
        },
      ),
      { numRuns: 30 },
    );
  });

  test("is refused with its line when it is no series", async () => {
    await assert.rejects(read("a,b\n1,2\n"), /SERIES_INVALID: .*no column t; there are a, b/);
    await assert.rejects(read("t,v\n0,1\nyesterday,2\n9,2"), /csv:3.*yesterday is not a time/);
    await assert.rejects(read("t,v\n0,1\n60,many\n"), /csv:3.*many is not a number/);
    await assert.rejects(read("t,v\n60,1\n60,1\n"), /csv:3.*ascend/);
    await assert.rejects(read("t,v\n60,1\n"), /1 rows/);
    await assert.rejects(read(`t,v\n${[1, 2, 3, 1e6, 2e6, 3e6].map((t) => `${t},1`).join("\n")}`), /not regular/);
    await assert.rejects(readSeriesCsv(join(scratch, "absent"), { time: "t", value: "v" }), /SERIES_INVALID.*ENOENT/);
  });
});
