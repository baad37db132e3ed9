import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { BallastError } from "../../../common/errors.ts";
import { csvCells } from "../csv-cells.ts";
import { readLoadHistoryCsv } from "../load-history-csv.ts";
import { readHistoryCsv } from "./csv.ts";
import { HistoryBuilder, MAX_GAPS } from "./imported-history.ts";
import { lines } from "./lines.ts";
import { readHistoryParquet } from "./parquet.ts";
import { timeMs } from "./time.ts";
import { writeHistoryCsv } from "./write-csv.ts";

const STEP_MS = 300_000;
const START_MS = Date.UTC(2026, 2, 2, 6);
const FIXTURES = join(import.meta.dirname, "fixtures");

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ballast-history-"));
});
after(() => rm(folder, { recursive: true, force: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

const refused = (code: string, message: RegExp) => (error: unknown) =>
  error instanceof BallastError && error.code === code && message.test(error.message);

describe("CSV", () => {
  test("long rows in any order become series, and each gap says why", async () => {
    const path = await file(
      "long.csv",
      [
        "service,rps,time,note",
        'payments,3,2026-03-02T06:05:00Z,"a, b"',
        "payments,1.5,2026-03-02T06:00:00Z,",
        '"quotes",2,2026-03-02T07:10:00+01:00,x',
        "payments,,2026-03-02T06:10:00Z,",
        "payments,4,1772432100,",
        "",
      ].join("\n"),
    );
    const { history, services, source } = await readHistoryCsv(path, { stepMs: STEP_MS });
    assert.deepEqual(history.upTo("payments", START_MS + 9 * STEP_MS), {
      startMs: START_MS,
      values: [1.5, 3, Number.NaN, 4],
    });
    assert.deepEqual(history.upTo("quotes", START_MS + 9 * STEP_MS), { startMs: START_MS + 2 * STEP_MS, values: [2] });
    assert.equal(source, path);
    const toMs = START_MS + 4 * STEP_MS;
    assert.deepEqual(services, [
      {
        service: "payments",
        fromMs: START_MS,
        toMs,
        observed: 3,
        missing: 1,
        gaps: [{ fromMs: START_MS + 2 * STEP_MS, toMs: START_MS + 3 * STEP_MS, reason: "an empty cell" }],
        gapsLeftOff: 0,
      },
      {
        service: "quotes",
        fromMs: START_MS,
        toMs,
        observed: 1,
        missing: 3,
        gaps: [
          { fromMs: START_MS, toMs: START_MS + 2 * STEP_MS, reason: "no row" },
          { fromMs: START_MS + 3 * STEP_MS, toMs, reason: "no row" },
        ],
        gapsLeftOff: 0,
      },
    ]);
  });

  test("the wide form gives what the reader of the configuration gives", async () => {
    const path = "demo/estate/load_history.csv";
    const ours = await readHistoryCsv(path, { stepMs: STEP_MS });
    const theirs = await readLoadHistoryCsv(path, { stepMs: STEP_MS });
    for (const service of theirs.services)
      assert.deepEqual(ours.history.upTo(service, 1e15), theirs.upTo(service, 1e15));
  });

  test("each mistake is HISTORY_INVALID with its line", async () => {
    const long = "time,service,rps";
    const row = "2026-03-02T06:00:00Z,a,1";
    const cases: [content: string, message: RegExp][] = [
      ["", /an empty file/],
      [`${long}\n`, /a header without rows/],
      ["date,service,rps\n", /:1: .*a column `time`/],
      ["time,a,a\n", /:1: a name that two columns have/],
      ["time\n", /:1: expected `service` and `rps`/],
      [`${long}\n${row}\n${row}\n`, /:3: a second reading of "a"/],
      [`${long}\n2026-03-02T06:00:00,a,1\n`, /:2: found "2026-03-02T06:00:00", expected a time with its zone/],
      [`${long}\n2026-03-02T06:01:00Z,a,1\n`, /:2: .*a multiple of the step, 300 s/],
      [`${long}\n2026-03-02T06:00:00Z,a,-1\n`, /:2: found "-1", expected requests per second/],
      [`${long}\n2026-03-02T06:00:00Z,a,0x10\n`, /:2: found "0x10"/],
      [`${long}\n2026-03-02T06:00:00Z,,1\n`, /:2: no name of a service/],
      [`${long}\n2026-03-02T06:00:00Z,a\n`, /:2: 2 cells; expected 3/],
      [`${long}\n2026-03-02T06:00:00Z,a,\n`, /no reading at all/],
    ];
    for (const [content, message] of cases)
      await assert.rejects(
        readHistoryCsv(await file("bad.csv", content), { stepMs: STEP_MS }),
        refused("HISTORY_INVALID", message),
        String(message),
      );
    await assert.rejects(readHistoryCsv(join(folder, "none.csv"), { stepMs: STEP_MS }), /HISTORY_INVALID.*ENOENT/);
  });

  test("bounds are refused before they are passed", async () => {
    const path = await file("many.csv", "time,a,b\n2026-03-02T06:00:00Z,1,2\n2027-03-02T06:00:00Z,1,2\n");
    const bounds = (more: object) => readHistoryCsv(path, { stepMs: STEP_MS, ...more });
    await assert.rejects(bounds({ maxServices: 1 }), refused("HISTORY_TOO_LARGE", /one service more than the 1/));
    await assert.rejects(bounds({ maxReadings: 3 }), refused("HISTORY_TOO_LARGE", /more than 3 readings/));
    await assert.rejects(bounds({ maxSteps: 1000 }), refused("HISTORY_TOO_LARGE", /105121 steps from first to last/));
  });

  test("quotes are RFC 4180's", () => {
    assert.deepEqual(csvCells('a,"b,""c""",,"d"'), ["a", 'b,"c"', "", "d"]);
  });
});

describe("Parquet", () => {
  for (const codec of ["none", "snappy", "gzip", "zstd", "brotli"])
    test(`the long form, packed with ${codec}, in several row groups`, async () => {
      const { history, services } = await readHistoryParquet(join(FIXTURES, `long-${codec}.parquet`), {
        stepMs: STEP_MS,
      });
      const { NaN: gap } = Number;
      assert.deepEqual(history.upTo("payments", 1e15), {
        startMs: START_MS,
        values: [10.5, 11.5, 12.5, 13.5, gap, 15.5],
      });
      assert.deepEqual(history.upTo("quotes", 1e15), { startMs: START_MS, values: [0, 2, gap, 6, 8, 10] });
      assert.deepEqual(
        services.map(({ gaps }) => gaps.map(({ reason }) => reason)),
        [["no row"], ["an empty cell"]],
      );
    });

  test("the wide form, with whole milliseconds as time and other kinds of numbers", async () => {
    const { history } = await readHistoryParquet(join(FIXTURES, "wide-int.parquet"), { stepMs: STEP_MS });
    assert.deepEqual(history.upTo("payments", 1e15), { startMs: START_MS, values: [1, 2, 3, 4, 5, 6] });
    assert.deepEqual(history.upTo("quotes", 1e15).values, [1.5, Number.NaN, 3.5, 4.5, 5.5, 6.5]);
  });

  test("what is no such file, or has no such columns, is HISTORY_INVALID", async () => {
    const read = (path: string, more = {}) => readHistoryParquet(path, { stepMs: STEP_MS, ...more });
    const long = join(FIXTURES, "long-snappy.parquet");
    await assert.rejects(read(join(folder, "none.parquet")), refused("HISTORY_INVALID", /ENOENT/));
    await assert.rejects(
      read(await file("text.parquet", "time,a\n1,2\n")),
      refused("HISTORY_INVALID", /not a Parquet/),
    );
    await assert.rejects(read(join(FIXTURES, "nested.parquet")), refused("HISTORY_INVALID", /x is nested/));
    await assert.rejects(read(long, { timeColumn: "at" }), refused("HISTORY_INVALID", /no column at; there are/));
    await assert.rejects(
      read(long, { stepMs: 3_600_000 }),
      refused("HISTORY_INVALID", /parquet:3: .*multiple of the step/),
    );
    await assert.rejects(read(long, { maxRows: 10 }), refused("HISTORY_TOO_LARGE", /11 rows/));
    await assert.rejects(read(long, { maxFileBytes: 100 }), refused("HISTORY_TOO_LARGE", /bytes; at most 100/));
  });

  test("broken bytes never end in anything but a typed error or other numbers", async () => {
    const sound = await readFile(join(FIXTURES, "long-gzip.parquet"));
    await fc.assert(
      fc.asyncProperty(fc.nat(sound.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const broken = Buffer.from(sound);
        broken[at]! ^= flip;
        const path = join(folder, "broken.parquet");
        await writeFile(path, broken);
        await readHistoryParquet(path, { stepMs: STEP_MS, maxRows: 1000, maxSteps: 10_000 }).catch((error) => {
          assert.ok(error instanceof BallastError, String(error?.stack));
        });
      }),
      { numRuns: 150 },
    );
  });
});

describe("the written CSV", () => {
  test("is read back as it was, by the reader of the configuration, to a millionth", async () => {
    const reading = fc.oneof(fc.double({ min: 0, max: 1e9, noNaN: true }), fc.constant(Number.NaN));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(reading, reading), { minLength: 1, maxLength: 50 }), async (rows) => {
        const builder = new HistoryBuilder(STEP_MS);
        // The last step always has a reading: a span ends with one.
        [...rows, [1, 2] as const].forEach(([a, b], i) => {
          if (!Number.isNaN(a)) builder.set("a", START_MS + i * STEP_MS, a);
          if (!Number.isNaN(b)) builder.set("b", START_MS + i * STEP_MS, b);
        });
        const { history } = builder.close({ source: "test" }, "none");
        const path = join(folder, "out.csv");
        await writeHistoryCsv(path, history);
        const back = await readLoadHistoryCsv(path, { stepMs: STEP_MS });
        for (const service of ["a", "b"]) {
          const [one, other] = [history.upTo(service, 1e15), back.upTo(service, 1e15)];
          assert.equal(other.startMs, one.startMs);
          assert.equal(other.values.length, one.values.length);
          one.values.forEach((value, i) => {
            assert.ok(Object.is(value, other.values[i]) || Math.abs(value - other.values[i]!) <= 1e-6);
          });
        }
      }),
      { numRuns: 30 },
    );
  });

  test("refuses names that it cannot carry, and leaves nothing behind", async () => {
    const builder = new HistoryBuilder(STEP_MS);
    builder.set("a,b", START_MS, 1);
    const { history } = builder.close({ source: "test" }, "none");
    await assert.rejects(writeHistoryCsv(join(folder, "no.csv"), history), refused("HISTORY_INVALID", /"a,b"/));
    assert.ok(!(await readdir(folder)).some((name) => name.startsWith("no.csv")));
    const other = new HistoryBuilder(STEP_MS);
    other.set("a", START_MS, 1);
    await assert.rejects(
      writeHistoryCsv(join(folder, "none", "x.csv"), other.close({ source: "test" }, "none").history),
      refused("HISTORY_INVALID", /ENOENT/),
    );
  });
});

test("gaps beyond the bound are counted, not kept", () => {
  const builder = new HistoryBuilder(1000);
  for (let i = 0; i <= 2 * (MAX_GAPS + 5); i += 2) builder.set("a", i * 1000, 1);
  const [account] = builder.close({ source: "test" }, "none").services;
  assert.equal(account!.gaps.length, MAX_GAPS);
  assert.equal(account!.gapsLeftOff, 5);
  assert.equal(account!.missing, MAX_GAPS + 5);
});

test("times have a zone or are numbers since 1970 of any unit", () => {
  for (const value of [
    "2026-03-02T06:00:00Z",
    "2026-03-02 07:00:00.000+01:00",
    "1772431200",
    START_MS,
    BigInt(START_MS) * 1_000n,
    BigInt(START_MS) * 1_000_000n,
    new Date(START_MS),
  ])
    assert.equal(timeMs(value), START_MS, String(value));
  for (const value of ["2026-03-02T06:00:00", "2026-13-02T06:00:00Z", "yesterday", "", -5, null, Number.NaN])
    assert.ok(Number.isNaN(timeMs(value)), String(value));
});

test("lines are numbered, and one that is too long is null and does not take the next ones with it", async () => {
  const path = await file("lines.txt", `a\r\n${"x".repeat(200_000)}\n\nlast`);
  const read: [number, string | null][] = [];
  for await (const line of lines(path, 1000)) read.push(line);
  assert.deepEqual(read, [
    [1, "a"],
    [2, null],
    [3, ""],
    [4, "last"],
  ]);
});
