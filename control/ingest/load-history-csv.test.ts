import assert from "node:assert/strict";
import { test } from "node:test";
import { BallastError } from "../../common/errors.ts";
import type { LoadHistory } from "./load-history.ts";
import { LoadHistoryParser, readLoadHistoryCsv } from "./load-history-csv.ts";

const STEP_MS = 300_000;
const START_MS = Date.UTC(2026, 2, 2, 6);

function parse(lines: string[]): LoadHistory {
  const parser = new LoadHistoryParser("load.csv", STEP_MS);
  for (const line of lines) parser.line(line);
  return parser.end();
}

test("columns become series of requests per second", () => {
  const history = parse(["\ufefftime,a,b", "2026-03-02T06:00:00Z,1.5,2", "2026-03-02T06:05Z,3,4e1", ""]);
  assert.deepEqual(history.services, ["a", "b"]);
  assert.deepEqual(history.upTo("a", START_MS + 2 * STEP_MS), { startMs: START_MS, values: [1.5, 3] });
  assert.deepEqual(history.upTo("b", START_MS + 2 * STEP_MS).values, [2, 40]);
});

test("a load may have as many digits as a double is written with", () => {
  const history = parse(["time,a", "2026-03-02T06:00:00Z,49.30127018922193", "2026-03-02T06:05:00Z,nan"]);
  assert.deepEqual(history.upTo("a", START_MS + 2 * STEP_MS).values, [49.30127018922193]);
});

test("an offset is taken into account, and missing rows and cells are steps without a reading", () => {
  const history = parse([
    "time,a,b",
    "2026-03-02T07:00:00+01:00,1,1",
    "2026-03-02T06:10:00Z,,3",
    "2026-03-02T06:15:00Z,4,4",
  ]);
  assert.deepEqual(history.upTo("a", START_MS + 4 * STEP_MS).values, [1, Number.NaN, Number.NaN, 4]);
  assert.deepEqual(history.upTo("b", START_MS + 4 * STEP_MS).values, [1, Number.NaN, 3, 4]);
});

test("each mistake is reported with line and column", () => {
  const row = "2026-03-02T06:00:00Z,1,2";
  const cases: [lines: string[], message: RegExp][] = [
    [["date,a,b"], /load\.csv:1:1: found "date", expected a header/],
    [["time"], /load\.csv:1:1: .*0 services/],
    [["time,a,a"], /load\.csv:1:8: found "a", expected each service once/],
    [["time,a,b", row, "2026-03-02T06:05:00Z,1"], /load\.csv:3:22: .*2 cells; expected 3/],
    [["time,a,b", "2026-03-02T06:00:00,1,2"], /load\.csv:2:1: .*with its zone/],
    [["time,a,b", "2026-13-02T06:00:00Z,1,2"], /load\.csv:2:1: .*with its zone/],
    [["time,a,b", "2026-03-02T06:01:00Z,1,2"], /load\.csv:2:1: .*a multiple of the step, 300 s/],
    [["time,a,b", row, row], /load\.csv:3:1: .*after that of the row before/],
    [["time,a,b", "2026-03-02T06:00:00Z,1,-2"], /load\.csv:2:24: found "-2", expected requests per second/],
    [["time,a,b", "2026-03-02T06:00:00Z,Infinity,2"], /load\.csv:2:22: found "Infinity"/],
    [[], /load\.csv: an empty file/],
    [["time,a,b"], /load\.csv:1: a header without rows/],
  ];
  for (const [lines, message] of cases) {
    assert.throws(
      () => parse(lines),
      (error) => error instanceof BallastError && error.code === "HISTORY_INVALID" && message.test(error.message),
      String(message),
    );
  }
});

test("the committed history covers six weeks up to the start of the demo", async () => {
  const history = await readLoadHistoryCsv("demo/estate/load_history.csv", { stepMs: STEP_MS });
  const endMs = Date.UTC(2026, 2, 2, 6, 5);
  assert.deepEqual(history.services, ["payments", "quotes", "ledger"]);
  for (const service of history.services) {
    assert.deepEqual(history.span(service), { startMs: endMs - 42 * 86_400_000, endMs });
  }
});

test("a file that is not there is HISTORY_INVALID", async () => {
  await assert.rejects(
    readLoadHistoryCsv("no/such.csv", { stepMs: STEP_MS }),
    /HISTORY_INVALID: no\/such\.csv: ENOENT/,
  );
});
