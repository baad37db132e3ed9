import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
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
    const { values, timesMs, missing } = await read("t,v\n0,1\n60,\n120,3\n180,NaN\n240,5\n420,8\n480,9\n");
    assert.deepEqual([...values], [1, Number.NaN, 3, Number.NaN, 5, Number.NaN, Number.NaN, 8, 9]);
    assert.deepEqual(
      [...timesMs].map((at) => at / 60_000),
      [0, 1, 2, 3, 4, 5, 6, 7, 8],
    );
    assert.equal(missing, 4);
  });

  test("has decimal commas where the separator is none, blanks around names, and fields over lines", async () => {
    assert.deepEqual([...(await read("t; v\n0;1,5\n60;-,25\n120;1e3\n")).values], [1.5, -0.25, 1000]);
    assert.deepEqual([...(await read('t,note,v\n0,"a\nb, ""c""\n",1\n60,,2\n120,"d",3\n')).values], [1, 2, 3]);
    assert.deepEqual([...(await read('t,v\n0,"1,5"\n60,2\n120,3\n')).values], [1.5, 2, 3]);
    await assert.rejects(read('t,v\n0,2\n60,"1,500"\n120,3\n'), /csv:3.*1,500 may be a decimal or thousands/);
    await assert.rejects(read('t,v\n0,1\n60,"2\n120,3\n'), /csv:3.*a quote is not closed/);
    await assert.rejects(read("t,v,v\n0,1,2\n60,1,2\n120,1,2\n"), /csv:1.*two columns v, the 2. and the 3./);
  });

  test("is read from what spreadsheets and databases put around it", async () => {
    for (const text of [
      "sep=;\nt;v\n0;1\n60;2\n120;3\n",
      "# from the load balancer\n# t and so on\nt,v\n0,1\n60,2\n120,3\n",
      "#t,v\n0,1\n60,2\n120,3\n".replace("t,v", "x,y\nt,v"),
      "t|v\n0|1\n60|2\n120|3\n",
    ])
      assert.deepEqual([...(await read(text)).values], [1, 2, 3], text);
    const file = join(scratch, "windows.csv");
    await writeFile(file, "\ufefft\tv\r\n0\t1\r\n60\t2\r\n120\t3\r\n", "utf16le");
    assert.deepEqual([...(await readSeriesCsv(file, { time: "t", value: "v" })).values], [1, 2, 3]);
  });

  test("may name its columns by number, and then needs no header", async () => {
    for (const header of ["t,x,v\n", "", "\ufeff"])
      assert.deepEqual([...(await read(`${header}0,9,1\n60,9,2\n120,9,3\n`, "1", "3")).values], [1, 2, 3]);
    assert.deepEqual([...(await read("2,1\n1,0\n2,60\n3,120\n", "1", "2")).values], [1, 2, 3], "a name goes first");
    await assert.rejects(read("t,v\n0,1\n", "1", "3"), /no column 3; there are t, v/);
    assert.deepEqual([...(await read("Time,RPS\n0,1\n60,2\n120,3\n", "time", "rps")).values], [1, 2, 3]);
    await assert.rejects(read("T,V,v\n0,1,2\n", "t", "x"), /no column x/);
  });

  test("may begin with its newest row", async () => {
    const { values, startMs, missing } = await read("t,v\n240,5\n180,\n120,3\n0,1\n");
    assert.deepEqual([...values], [1, Number.NaN, 3, Number.NaN, 5]);
    assert.deepEqual([startMs, missing], [0, 2]);
    const hours = ["03:00", "02:30", "02:00", "02:30", "02:00", "01:30"].map((one, i) => `2026-10-25 ${one},${i}`);
    assert.deepEqual([...(await read(`t,v\n${hours.join("\n")}\n`)).values], [5, (2 + 4) / 2, (1 + 3) / 2, 0]);
  });

  test("is sorted where its rows are not, and says how many; what is there twice counts once unless it contradicts itself", async () => {
    const shuffled = await read("t,v\n180,4\n60,2\n240,\n0,1\n120,3\n60,2\n");
    assert.deepEqual([...shuffled.values], [1, 2, 3, 4, Number.NaN]);
    assert.deepEqual([shuffled.unsorted, shuffled.doubled], [2, 1]);
    const twice = await read("t,v\n0,1\n60,2\n60,2\n120,3\n");
    assert.deepEqual([...twice.values, twice.doubled], [1, 2, 3, 1]);
    await assert.rejects(
      read("t,v\n0,1\n60,2\n120,3\n60,9\n"),
      /csv:5: the time of line 3 is there twice, with another/,
    );
    await assert.rejects(read("t,v\n0,1\n0,1\n60,2\n60,2\n"), /2 times; a series needs more/);
    const days = (order: number[]) =>
      `t,v\n${order.map((day) => `01/${String(day).padStart(2, "0")}/2026,${day}`).join("\n")}\n`;
    assert.equal((await read(days([...Array(28).keys()].map((i) => 1 + ((5 * i) % 28))))).stepMs, 86_400_000);
  });

  test("may be packed by gzip, and other packages are named", async () => {
    const file = join(scratch, "packed.csv.gz");
    const options = { time: "t", value: "v" };
    const text = `t,v\n${Array.from({ length: 5_000 }, (_, i) => `${60 * i},${i}`).join("\n")}\n`;
    await writeFile(file, gzipSync(text));
    assert.deepEqual([...(await readSeriesCsv(file, options)).values].slice(0, 3), [0, 1, 2]);
    await assert.rejects(
      readSeriesCsv(file, { ...options, maxFileBytes: 50_000 }),
      /SERIES_INVALID.*more than 50000 bytes/,
    );
    await writeFile(file, gzipSync(text).subarray(0, 9_000));
    await assert.rejects(readSeriesCsv(file, options), /SERIES_INVALID.*unexpected end/);
    await writeFile(file, "PK\x03\x04\x14\x00", "latin1");
    await assert.rejects(readSeriesCsv(file, options), /SERIES_INVALID.*a spreadsheet or an archive: save it as CSV/);
  });

  test("has the middle distance as its step where clocks jitter so that none is frequent", async () => {
    const rows = Array.from({ length: 200 }, (_, i) => `${1000 * i + ((i * 7919) % 200)},${i}`);
    const { values, missing } = await read(`t,v\n${rows.join("\n")}\n`);
    assert.equal(missing, 0);
    assert.deepEqual(
      [...values],
      Array.from({ length: 200 }, (_, i) => i),
    );
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
    const { values, timesMs, missing } = await read(`t,v\n${months.join("\n")}\n`);
    assert.equal(new Date(timesMs.at(-1)!).toISOString().slice(0, 10), "1960-12-01");
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
    await assert.rejects(read("t,v\n60,1\n60,2\n120,3\n"), /csv:3.*the time of line 2 is there twice/);
    await assert.rejects(read("t,v\n60,1\n"), /1 rows/);
    await assert.rejects(read(`t,v\n${[1, 2, 3, 1e6, 2e6, 3e6].map((t) => `${t},1`).join("\n")}`), /not regular/);
    await assert.rejects(readSeriesCsv(scratch, { time: "t", value: "v" }), /SERIES_INVALID: .* is no file/);
    await assert.rejects(readSeriesCsv(join(scratch, "absent"), { time: "t", value: "v" }), /SERIES_INVALID.*ENOENT/);
  });
});
