import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Transform } from "node:stream";
import { createGunzip } from "node:zlib";
import { durationText } from "../../common/duration-text.ts";
import { BallastError } from "../../common/errors.ts";
import { csvCells } from "./csv-cells.ts";
import { mostFrequent } from "./most-frequent.ts";
import { NumberColumn } from "./number-column.ts";
import { isZoned, TimeReader } from "./series-time.ts";

/** A regular series as it was found in a file. */
export interface CsvSeries {
  /** NaN where the file has no row or an empty cell. */
  values: Float64Array;
  /** Of each step; between the rows of a gap by the step's length. */
  timesMs: Float64Array;
  startMs: number;
  stepMs: number;
  /** Steps without a reading. */
  missing: number;
  /** Rows of an hour that local time repeated in autumn, averaged with the first ones. */
  repeated: number;
  /** Rows that were not in the order of their times, before all were sorted. */
  unsorted: number;
  /** Rows left out that said the same of the same time as another. */
  doubled: number;
}

export interface SeriesCsvOptions {
  /** Names of the columns of times and of values, or their numbers counted from 1 where no column is named so. */
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
const SEPARATORS = [",", ";", "\t", "|"];
/** Share of the distances that the most frequent one must have to be the step; else, with clocks that jitter, the median is. */
const MODE_SHARE = 0.25;

/**
 * Reads one column of a CSV file (RFC 4180; comma, semicolon, tab or bar; UTF-8, or UTF-16 with its mark; as it is or by gzip; numbers as
 * `number-column.ts` has them) as a regular series, oldest or newest row first, else sorted. Times are those of `series-time.ts`. The step
 * is the most frequent distance of neighbours; steps without a row are gaps; the hour that local times without a zone repeat in autumn is
 * averaged into one, so that hours of the day stay where they were. Throws SERIES_INVALID with file, line and what was expected.
 */
export async function readSeriesCsv(file: string, options: SeriesCsvOptions): Promise<CsvSeries> {
  const [dayFirst, monthFirst] = [new TimeReader(false), new TimeReader(true)];
  const read = await readWith(dayFirst, file, options).catch((error: unknown) => error as Error);
  if (!dayFirst.metSlashes) return orThrow(read);
  // The file decides which of two readings is meant; where it cannot, nobody can.
  const other = await readWith(monthFirst, file, options).catch((error: unknown) => error as Error);
  if (!(read instanceof Error) && !(other instanceof Error)) {
    // Rows that only one of them puts in order were written by it.
    const inOrder = [read, other].filter(({ unsorted }) => unsorted === 0);
    if (inOrder.length === 1) return inOrder[0]!;
    throw new BallastError("SERIES_INVALID", "the times may begin with the day or with the month: write YYYY-MM-DD", {
      position: { file },
    });
  }
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
  const encoding = await encodingOf(file, maxFileBytes, fail);
  let columns: Columns | null = null;
  let separator: string | undefined;
  const times: number[] = [];
  const column = new NumberColumn();
  /** Per row of the file the step that it belongs to: its own, or the first one of an hour that a local clock repeats. */
  const places: number[] = [];
  /** Per place the line of its first row. */
  const lines: number[] = [];
  let direction = 0;
  let unsorted = 0;
  for await (const { row, line } of rowsOf(file, encoding, maxFileBytes, fail)) {
    if (columns === null) {
      const header = row.replace(/^\ufeff/, "");
      // The line by which spreadsheets are told the separator.
      const told = /^sep=(.)$/i.exec(header)?.[1];
      if (told !== undefined) separator = told;
      if (told !== undefined || isComment(header, time, value)) continue;
      columns = columnsOf(header, { time, value, separator }, (what) => fail(what, line));
      const first = columns.byNumber ? cellsOf(header, columns) : null;
      if (first === null || typeof reader.read(first.time) === "string") continue;
    }
    const cells = cellsOf(row.replace(/^\ufeff/, ""), columns);
    const text = cells.time;
    const at = reader.read(text);
    if (typeof at === "string") return fail(at, line);
    const wrong = column.add(cells.value, line);
    if (wrong !== null) fail(wrong, line);
    const before = times.at(-1);
    if (before !== undefined && direction === 0) direction = Math.sign(at - before);
    if (before !== undefined && (at - before) * direction <= 0) {
      const first = unsorted === 0 && isSetBack(text, at, before) ? times.lastIndexOf(at) : -1;
      if (first >= 0) {
        places.push(first);
        continue;
      }
      unsorted++;
    }
    if (times.length >= maxRows) fail(`more than ${maxRows} rows`, line);
    places.push(times.length);
    times.push(at);
    lines.push(line);
  }
  if (times.length < 3) fail(`${times.length} rows; a series needs more`);
  const values = averaged(column.numbers(columns!.separator, fail), places, times.length);
  const repeated = places.length - times.length;
  if (unsorted > 0) {
    const sorted = inOrder(times, values, lines, fail);
    if (sorted.times.length < 3) fail(`${sorted.times.length} times; a series needs more`);
    return { ...onGrid(sorted.times, sorted.values, fail), repeated, unsorted, doubled: sorted.doubled };
  }
  if (direction < 0) for (const list of [times, values]) list.reverse();
  return { ...onGrid(times, values, fail), repeated, unsorted, doubled: 0 };
}

/** Rows sorted by time; those that say the same twice are there once, and two that contradict each other are refused. */
function inOrder(
  times: readonly number[],
  values: readonly number[],
  lines: readonly number[],
  fail: (what: string, line: number) => never,
): { times: number[]; values: number[]; doubled: number } {
  const order = times.map((_, row) => row).sort((a, b) => times[a]! - times[b]! || a - b);
  const kept: number[] = [];
  for (const row of order) {
    const before = kept.at(-1);
    if (before === undefined || times[before] !== times[row]) kept.push(row);
    else if (!Object.is(values[before], values[row]))
      fail(
        `the time of line ${lines[before]} is there twice, with another value: of several series in one file, keep one`,
        lines[row]!,
      );
  }
  return {
    times: kept.map((row) => times[row]!),
    values: kept.map((row) => values[row]!),
    doubled: order.length - kept.length,
  };
}

/** The numbers of the rows of each place, averaged where there are two. */
function averaged(numbers: readonly number[], places: readonly number[], count: number): number[] {
  const values = new Array<number>(count).fill(Number.NaN);
  for (const [row, place] of places.entries()) {
    const [known, number] = [values[place]!, numbers[row]!];
    values[place] = Number.isNaN(known) ? number : Number.isNaN(number) ? known : (known + number) / 2;
  }
  return values;
}

/** How a file begins that is something else than text. */
const BINARY: readonly (readonly [string, string])[] = [
  ["PK\x03\x04", "a spreadsheet or an archive"],
  ["PAR1\x15", "a Parquet file"],
  ["\xd0\xcf\x11\xe0", "an old spreadsheet"],
  ["BZh91AY", "packed by bzip2"],
  ["\xfd7zX", "packed by xz"],
  ["(\xb5/\xfd", "packed by zstd"],
];
const GZIP = "\x1f\x8b";

type Encoding = "utf8" | "utf16le" | "gzip";

/** Of a file that is not too large; what Windows calls Unicode begins with a mark. */
async function encodingOf(file: string, maxFileBytes: number, fail: (what: string) => never): Promise<Encoding> {
  const handle = await open(file).catch((cause: Error) => fail(cause.message));
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) fail("is no file");
    if (stats.size > maxFileBytes) fail(`${stats.size} bytes; at most ${maxFileBytes} are read`);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(8), 0, 8, 0);
    const start = buffer.toString("latin1", 0, bytesRead);
    const other = BINARY.find(([mark]) => start.startsWith(mark));
    if (other !== undefined) fail(`is ${other[1]}: save it as CSV`);
    if (start.startsWith(GZIP)) return "gzip";
    return start.startsWith("\xff\xfe") ? "utf16le" : "utf8";
  } finally {
    await handle.close();
  }
}

/** Lines of text; a packed file is refused as soon as it has grown too large. */
function linesOf(
  file: string,
  encoding: Encoding,
  maxFileBytes: number,
  fail: (what: string) => never,
): AsyncIterable<string> {
  const options = { crlfDelay: Number.POSITIVE_INFINITY };
  if (encoding !== "gzip") return createInterface({ input: createReadStream(file, encoding), ...options });
  let bytes = 0;
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      done(bytes > maxFileBytes ? new Error(`more than ${maxFileBytes} bytes when unpacked`) : null, chunk);
    },
  });
  const packed = createReadStream(file);
  const unpacked = packed.pipe(createGunzip());
  packed.on("error", (error) => unpacked.destroy(error));
  unpacked.on("error", (error) => bounded.destroy(error));
  return unbroken(createInterface({ input: unpacked.pipe(bounded), ...options }), fail);
}

/** The same lines; a package that breaks off or grows too large is said like all else that is wrong with a file. */
async function* unbroken(lines: AsyncIterable<string>, fail: (what: string) => never) {
  try {
    yield* lines;
  } catch (cause) {
    fail((cause as Error).message);
  }
}

/** Records with the line that they end at; a quoted field may span lines. */
async function* rowsOf(
  file: string,
  encoding: Encoding,
  maxFileBytes: number,
  fail: (what: string, line?: number) => never,
) {
  let line = 0;
  let open = "";
  let openLines = 0;
  for await (const text of linesOf(file, encoding, maxFileBytes, fail)) {
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

interface Columns {
  /** Places in a row, counted from 0. */
  time: number;
  value: number;
  separator: string;
  /** Whether both were said by number, so that the first row need not be a header. */
  byNumber: boolean;
}

function cellsOf(row: string, { time, value, separator }: Columns): { time: string; value: string } {
  const cells = csvCells(row, separator);
  return { time: cells[time]?.trim() ?? "", value: cells[value]?.trim() ?? "" };
}

/** A line of remarks above the header, as databases and spectrometers write them; a header may begin with the sign too. */
function isComment(line: string, time: string, value: string): boolean {
  return line.startsWith("#") && !(line.includes(time) && line.includes(value));
}

function columnsOf(
  header: string,
  wanted: { time: string; value: string; separator: string | undefined },
  fail: (what: string) => never,
): Columns {
  const cells = (separator: string) => csvCells(header, separator).map((name) => name.trim());
  const separators = wanted.separator === undefined ? SEPARATORS : [wanted.separator];
  const separator =
    separators.find((one) => cells(one).includes(wanted.value)) ??
    separators.reduce((most, one) => (cells(one).length > cells(most).length ? one : most));
  const names = cells(separator);
  const { time, value } = wanted;
  const isNumber = (name: string): boolean => /^[1-9]\d{0,3}$/.test(name) && Number(name) <= names.length;
  // In a file without a header the first numbers may look like the names.
  const byNumber = isNumber(time) && isNumber(value) && !(names.includes(time) && names.includes(value));
  const placeOf = (wantedName: string): number => {
    const alike = names.filter((one) => one.toLowerCase() === wantedName.toLowerCase());
    const name = !names.includes(wantedName) && alike.length === 1 ? alike[0]! : wantedName;
    const place = names.indexOf(name);
    if (byNumber || (place < 0 && isNumber(name))) return Number(name) - 1;
    if (place < 0) fail(`no column ${name}; there are ${names.slice(0, 20).join(", ")}`);
    if (place !== names.lastIndexOf(name))
      fail(`two columns ${name}, the ${place + 1}. and the ${names.lastIndexOf(name) + 1}.: rename one`);
    return place;
  };
  return { time: placeOf(time), value: placeOf(value), separator, byNumber };
}

/** Whether a time that goes back belongs to the hour that a local clock shows twice on a Sunday morning in autumn. */
function isSetBack(text: string, at: number, newest: number): boolean {
  const date = new Date(at);
  return (
    Math.abs(newest - at) < HOUR_MS &&
    !isZoned(text) &&
    date.getUTCDay() === 0 &&
    BACK_MONTHS.has(date.getUTCMonth()) &&
    date.getUTCHours() < BACK_BEFORE_HOUR
  );
}

/** The most frequent distance, or where clocks jitter and none is frequent the middle one. */
function stepOf(times: readonly number[]): number {
  const distances = times.slice(1).map((at, i) => at - times[i]!);
  const { value: mode, count } = mostFrequent(distances)!;
  return count >= MODE_SHARE * distances.length ? mode : distances.sort((a, b) => a - b)[distances.length >> 1]!;
}

const NUMBER_ROWS = "Where only its rows count, number them (1, 2, 3 …) in the column of times.";

function onGrid(
  times: readonly number[],
  values: readonly number[],
  fail: (what: string) => never,
): Pick<CsvSeries, "values" | "timesMs" | "startMs" | "stepMs" | "missing"> {
  const stepMs = stepOf(times);
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
    fail(
      `${times.length} rows, most of them ${durationText(stepMs)} apart, over ${steps} steps: the series is not regular. ${NUMBER_ROWS}`,
    );
  const grid = new Float64Array(steps).fill(Number.NaN);
  const timesMs = new Float64Array(steps);
  for (const [i, place] of places.entries()) {
    grid[place] = values[i]!;
    const next = places[i + 1] ?? steps;
    for (let step = place; step < next; step++) timesMs[step] = times[i]! + (step - place) * stepMs;
  }
  const missing = grid.reduce((sum, value) => sum + (Number.isNaN(value) ? 1 : 0), 0);
  if (missing > steps / 2)
    fail(
      `${missing} of ${steps} steps of ${durationText(stepMs)} have no value: the series is not regular. ${NUMBER_ROWS}`,
    );
  return { values: grid, timesMs, startMs: times[0]!, stepMs, missing };
}
