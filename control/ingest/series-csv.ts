import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createInterface } from "node:readline";
import { BallastError } from "../../common/errors.ts";
import { csvCells } from "./csv-cells.ts";
import { TimeReader } from "./series-time.ts";

/** A regular series as it was found in a file. */
export interface CsvSeries {
  /** NaN where the file has no row or an empty cell. */
  values: Float64Array;
  startMs: number;
  stepMs: number;
  /** Steps without a reading. */
  missing: number;
  /** Rows of an hour that local time repeated in autumn, averaged with the first ones. */
  repeated: number;
}

export interface SeriesCsvOptions {
  /** Names of the columns of times and of values. */
  time: string;
  value: string;
  /** Default 256 MiB. */
  maxFileBytes?: number;
  /** Default 2,000,000. */
  maxRows?: number;
}

/** Share by which a distance may differ from whole steps before it counts as odd: clocks jitter, months differ. */
const JITTER = 0.35;
/** Lines that one quoted field may span; an unclosed quote ends there instead of at the end of the file. */
const MAX_FIELD_LINES = 100;
const HOUR_MS = 3_600_000;
/** Sunday mornings on which clocks are set back, in either half of the world: months counted from 0. */
const BACK_MONTHS = new Set([2, 3, 8, 9, 10]);
const BACK_BEFORE_HOUR = 4;
const DECIMAL_COMMA = /^[+-]?\d*,\d+(e[+-]?\d+)?$/i;
const EMPTY = /^(|na|nan|null|none|-|\?)$/i;

/**
 * Reads one column of a CSV file (RFC 4180; comma, semicolon or tab; decimal commas where the separator is no comma) as a regular series. Times
 * are those of `series-time.ts`. The step is the most frequent distance of neighbours; steps without a row are gaps; the hour that local
 * times without a zone repeat in autumn is averaged into one, so that hours of the day stay where they were. Throws SERIES_INVALID with file, line and what was expected.
 */
export async function readSeriesCsv(file: string, options: SeriesCsvOptions): Promise<CsvSeries> {
  const [dayFirst, monthFirst] = [new TimeReader(false), new TimeReader(true)];
  const read = await readWith(dayFirst, file, options).catch((error: unknown) => error as Error);
  if (!dayFirst.metSlashes) return orThrow(read);
  // The file decides which of two readings is meant; where it cannot, nobody can.
  const other = await readWith(monthFirst, file, options).catch((error: unknown) => error as Error);
  if (!(read instanceof Error) && !(other instanceof Error))
    throw new BallastError("SERIES_INVALID", "the times may begin with the day or with the month: write YYYY-MM-DD", {
      position: { file },
    });
  return orThrow(read instanceof Error ? other : read);
}

function orThrow(read: CsvSeries | Error): CsvSeries {
  if (read instanceof Error) throw read;
  return read;
}

async function readWith(reader: TimeReader, file: string, options: SeriesCsvOptions): Promise<CsvSeries> {
  const { time, value, maxFileBytes = 256 * 2 ** 20, maxRows = 2_000_000 } = options;
  const fail = (what: string, line?: number): never => {
    throw new BallastError("SERIES_INVALID", what, { position: line === undefined ? { file } : { file, line } });
  };
  const { size } = await stat(file).catch((cause: Error) => fail(cause.message));
  if (size > maxFileBytes) fail(`${size} bytes; at most ${maxFileBytes} are read`);
  let columns: { time: number; value: number; separator: string } | null = null;
  const times: number[] = [];
  const values: number[] = [];
  let repeated = 0;
  for await (const { row, line } of rowsOf(file, fail)) {
    if (columns === null) {
      columns = columnsOf(row.replace(/^\ufeff/, ""), time, value, (what) => fail(what, line));
      continue;
    }
    const cells = csvCells(row, columns.separator);
    const text = cells[columns.time]?.trim() ?? "";
    const at = reader.read(text);
    if (typeof at === "string") return fail(at, line);
    const cell = cells[columns.value]?.trim() ?? "";
    const plain = columns.separator !== "," && DECIMAL_COMMA.test(cell) ? cell.replace(",", ".") : cell;
    const number = EMPTY.test(cell) ? Number.NaN : Number(plain);
    if (!Number.isFinite(number) && !EMPTY.test(cell))
      fail(`${cell} is not a ${Number.isNaN(number) ? "" : "finite "}number`, line);
    const before = times.at(-1);
    if (before !== undefined && at <= before) {
      const first = isSetBack(text, at, before) ? times.lastIndexOf(at) : -1;
      if (first < 0 && at === before) fail(`${text} is there twice: times must ascend, each once`, line);
      if (first < 0) fail(`${text} lies before the row above it: times must ascend`, line);
      const known = values[first]!;
      values[first] = Number.isNaN(known) ? number : Number.isNaN(number) ? known : (known + number) / 2;
      repeated++;
      continue;
    }
    if (times.length >= maxRows) fail(`more than ${maxRows} rows`, line);
    times.push(at);
    values.push(number);
  }
  if (times.length < 3) fail(`${times.length} rows; a series needs more`);
  return { ...onGrid(times, values, fail), repeated };
}

/** Records with the line that they end at; a quoted field may span lines. */
async function* rowsOf(file: string, fail: (what: string, line?: number) => never) {
  let line = 0;
  let open = "";
  let openLines = 0;
  for await (const text of createInterface({
    input: createReadStream(file, "utf8"),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    line++;
    const row = openLines > 0 ? `${open}\n${text}` : text;
    if (row.includes('"') && row.split('"').length % 2 === 0) {
      open = row;
      if (++openLines > MAX_FIELD_LINES) fail("a quote is not closed", line - MAX_FIELD_LINES);
      continue;
    }
    openLines = 0;
    if (row.trim() !== "") yield { row, line };
  }
  if (openLines > 0) fail("a quote is not closed", line - openLines + 1);
}

function columnsOf(header: string, time: string, value: string, fail: (what: string) => never) {
  const cells = (separator: string) => csvCells(header, separator).map((name) => name.trim());
  const separator = [",", ";", "\t"].find((one) => cells(one).includes(value)) ?? ",";
  const names = cells(separator);
  for (const wanted of [time, value]) {
    if (!names.includes(wanted)) fail(`no column ${wanted}; there are ${names.slice(0, 20).join(", ")}`);
    if (names.indexOf(wanted) !== names.lastIndexOf(wanted))
      fail(
        `two columns ${wanted}, the ${names.indexOf(wanted) + 1}. and the ${names.lastIndexOf(wanted) + 1}.: rename one`,
      );
  }
  return { time: names.indexOf(time), value: names.indexOf(value), separator };
}

/** Whether a time that goes back belongs to the hour that a local clock shows twice on a Sunday morning in autumn. */
function isSetBack(text: string, at: number, newest: number): boolean {
  const date = new Date(at);
  return (
    newest - at < HOUR_MS &&
    !/(z|utc|gmt|[+-]\d{2}:?\d{2}|^\d+(\.\d+)?)$/i.test(text) &&
    date.getUTCDay() === 0 &&
    BACK_MONTHS.has(date.getUTCMonth()) &&
    date.getUTCHours() < BACK_BEFORE_HOUR
  );
}

function onGrid(
  times: readonly number[],
  values: readonly number[],
  fail: (what: string) => never,
): Omit<CsvSeries, "repeated"> {
  const counts = new Map<number, number>();
  for (let i = 1; i < times.length; i++) {
    const step = times[i]! - times[i - 1]!;
    counts.set(step, (counts.get(step) ?? 0) + 1);
  }
  const [stepMs] = [...counts].reduce((most, one) => (one[1] > most[1] ? one : most));
  // Step by step, so that neither a jittering clock nor months of unequal length add up to a step too many.
  const places = [0];
  let odd = 0;
  for (let i = 1; i < times.length; i++) {
    const distance = (times[i]! - times[i - 1]!) / stepMs;
    const steps = Math.max(1, Math.round(distance));
    if (Math.abs(distance - steps) > JITTER * steps) odd++;
    places.push(places[i - 1]! + steps);
  }
  const steps = places.at(-1)! + 1;
  if (odd > times.length / 5 || steps > 4 * times.length + 10)
    fail(`${times.length} rows, most of them ${stepMs} ms apart, over ${steps} steps: the series is not regular`);
  const grid = new Float64Array(steps).fill(Number.NaN);
  for (const [i, place] of places.entries()) grid[place] = values[i]!;
  const missing = grid.reduce((sum, value) => sum + (Number.isNaN(value) ? 1 : 0), 0);
  if (missing > steps / 2)
    fail(`${missing} of ${steps} steps of ${stepMs} ms have no value: the series is not regular`);
  return { values: grid, startMs: times[0]!, stepMs, missing };
}
