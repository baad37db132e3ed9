import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { readSeriesCsv } from "./series-csv.ts";
import { TimeReader } from "./series-time.ts";

const scratch = await mkdtemp(join(tmpdir(), "ballast-series-time-"));
after(() => rm(scratch, { recursive: true, force: true }));
const reader = new TimeReader(false);

async function csv(times: readonly string[]): Promise<string> {
  const file = join(scratch, "times.csv");
  await writeFile(file, `t,v\n${times.map((time, i) => `${time},${i}`).join("\n")}\n`);
  return file;
}

describe("a time in a CSV file", () => {
  test("is read in the forms that exports use", () => {
    const expected = Date.UTC(2026, 2, 4, 5, 6, 7);
    for (const text of [
      "2026-03-04T05:06:07Z",
      "2026-03-04 05:06:07",
      "2026/03/04 05:06:07",
      "2026-3-4 5:06:07",
      "2026-03-04 05:06:07 UTC",
      "2026-03-04T07:06:07+02:00",
      "2026-03-04 00:36:07-0430",
      "04.03.2026 05:06:07",
      "4.3.2026 5:06:07",
      "04/03/2026 05:06:07",
      "04-03-2026 5:06:07 AM",
      "04-Mar-2026 05:06:07",
      "4 March 2026, 05:06:07",
      "2026-03-04 05:06:07.000000889 +0000 UTC m=+0.113",
      "2026-03-04 07:06:07+02",
      "2026-03-04T06:06:07+01:00[Europe/Berlin]",
      "2026-03-04 00:06:07 EST",
      "2026-03-04 06:06:07 CET",
      "2026.03.04 05:06:07",
      "20260304T050607Z",
      "20260304050607",
      "04/Mar/2026:05:06:07 +0000",
      "Wed, 04 Mar 2026 05:06:07 GMT",
      "Mar 4, 2026 5:06:07 AM",
      "04/03/26 05:06:07",
      "04-Mar-26 05:06:07",
      String(expected),
      String(expected / 1000),
      String(expected * 1000),
      `${expected}000000`,
      (expected / 1000).toExponential(),
    ])
      assert.equal(reader.read(text), expected, text);
    for (const day of ["2026-03-04", "20260304"]) assert.equal(reader.read(day), Date.UTC(2026, 2, 4));
    assert.equal(reader.read("2026-03"), Date.UTC(2026, 2, 1));
    for (const month of ["Mar 2026", "March-2026", "Mar-26", "2026 Mar", "2026/03"])
      assert.equal(reader.read(month), Date.UTC(2026, 2, 1), month);
    for (const quarter of ["2026-Q2", "2026Q2", "Q2 2026"]) assert.equal(reader.read(quarter), Date.UTC(2026, 3, 1));
    assert.equal(reader.read("2026-W01"), Date.UTC(2025, 11, 29));
    assert.equal(reader.read("2020-W53-5"), Date.UTC(2021, 0, 1));
    assert.equal(reader.read("Jan-60"), Date.UTC(1960, 0, 1));
    assert.equal(reader.read("20260304T0506+01"), Date.UTC(2026, 2, 4, 4, 6));
    assert.equal(reader.read("04/03/2026 12:30 am"), Date.UTC(2026, 2, 4, 0, 30));
    assert.equal(reader.read("04/03/2026 12:30 PM"), Date.UTC(2026, 2, 4, 12, 30));
    assert.equal(reader.read("2026-03-04T00:00:00.25Z"), Date.UTC(2026, 2, 4) + 250);
  });

  test("is refused where there is no such time", () => {
    for (const text of [
      "",
      "soon",
      "2026-02-30",
      "2026-13-01",
      "2026-01-01 24:00:00",
      "2026-01-01T10:61Z",
      "31.04.2026",
      "2026-13",
      "04/03/2026 13:30 pm",
      "4 Foo 2026",
      "Foo-60",
      "2026-Q5",
      "2026-W54",
      "20261304T0506Z",
      "2026-03-04 05:06:07 XYZ",
      "04-03-26",
    ])
      assert.match(String(reader.read(text)), /is not a time/, text);
  });

  test("with slashes is read as the rest of the file allows, and refused where both readings fit", async () => {
    const days = Array.from({ length: 20 }, (_, i) => new Date(Date.UTC(2026, 2, 5 + i)));
    const two = (n: number) => String(n).padStart(2, "0");
    const american = days.map((d) => `${two(d.getUTCMonth() + 1)}/${two(d.getUTCDate())}/2026`);
    const british = days.map((d) => `${two(d.getUTCDate())}/${two(d.getUTCMonth() + 1)}/2026`);
    for (const times of [american, british]) {
      const { startMs, stepMs } = await readSeriesCsv(await csv(times), { time: "t", value: "v" });
      assert.equal(startMs, days[0]!.getTime());
      assert.equal(stepMs, 86_400_000);
    }
    // 1 January to 12 January, or the first of each month.
    const either = Array.from({ length: 12 }, (_, i) => `01/${two(i + 1)}/2026`);
    await assert.rejects(readSeriesCsv(await csv(either), { time: "t", value: "v" }), /with the day or with the month/);
  });

  test("that repeats is named with its line, and one that goes back is sorted in", async () => {
    for (const day of ["2026-10-26", "2026-12-06"]) {
      const hours = ["01:00", "02:00", "02:00", "03:00"].map((hour) => `${day} ${hour}`);
      await assert.rejects(
        readSeriesCsv(await csv(hours), { time: "t", value: "v" }),
        /csv:4: the time of line 3 is there twice/,
      );
    }
    const zoned = ["01", "02", "02", "03"].map((hour) => `2026-10-25T${hour}:00:00Z`);
    await assert.rejects(
      readSeriesCsv(await csv(zoned), { time: "t", value: "v" }),
      /csv:4: the time of line 3 is there twice/,
    );
    const back = ["2026-01-01", "2026-01-03", "2026-01-02", "2026-01-04"];
    assert.equal((await readSeriesCsv(await csv(back), { time: "t", value: "v" })).unsorted, 1);
  });

  test("that is local repeats an hour in autumn, which is averaged into one", async () => {
    const halves = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00", "03:30"].map((one) => `2026-10-25 ${one}`);
    const { values, repeated, missing } = await readSeriesCsv(await csv(halves), { time: "t", value: "v" });
    assert.deepEqual([...values], [0, (1 + 3) / 2, (2 + 4) / 2, 5, 6]);
    assert.deepEqual([repeated, missing], [2, 0]);
  });

  test("that is local skips an hour in spring, which is a gap", async () => {
    const hours = Array.from({ length: 30 }, (_, i) => new Date(Date.UTC(2026, 2, 28, 12 + i + (i >= 14 ? 1 : 0))));
    const { values, missing } = await readSeriesCsv(await csv(hours.map((d) => d.toISOString().slice(0, 16))), {
      time: "t",
      value: "v",
    });
    assert.equal(values.length, 31);
    assert.equal(missing, 1);
    assert.ok(Number.isNaN(values[14]));
  });
});
