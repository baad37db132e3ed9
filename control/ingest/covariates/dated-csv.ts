import { BallastError, type Position } from "../../../common/errors.ts";
import { csvCells } from "../csv-cells.ts";
import { lines } from "../history/lines.ts";
import { timeMs } from "../history/time.ts";

export interface Holiday {
  /** Local date, YYYY-MM-DD. */
  date: string;
  name: string;
  knownAtMs: number;
}

/** One dated value of an external signal: a premiere, a campaign, a price. */
export interface SignalRow {
  signal: string;
  /** null = for every service. */
  service: string | null;
  startMs: number;
  endMs: number;
  value: number;
  knownAtMs: number;
}

/** Rows of one file: decades of holidays, or a signal an hour for five years. */
const MAX_ROWS = 50_000;
const NAME = /^[a-z][a-z0-9_]{0,31}$/;

/**
 * `date,name[,known_at]`, dates as YYYY-MM-DD in the zone of the people who cause the load. `known_at` is a time with zone; without it
 * the holiday was always known. Throws COVARIATE_INVALID with file, line and what was expected.
 */
export async function readHolidays(file: string): Promise<Holiday[]> {
  return await read(file, ["date", "name"], ["known_at"], ({ date, name, known_at }, at) => {
    const ms = Date.parse(`${date}T00:00:00Z`);
    if (!/^\d{4}-\d{2}-\d{2}$/.test(date!) || Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== date)
      throw invalid(at, `found ${shown(date)}, expected a date such as 2026-12-25`);
    return { date, name: name!, knownAtMs: known_at === "" ? 0 : time(known_at, "known_at", at) };
  });
}

/**
 * `signal,service,start,end,value,known_at`: times with zone, an empty service means every service, names in lower case. A row without
 * `known_at` counts as known when it begins: a signal is never taken to have been known ahead unless its file says so.
 * Throws COVARIATE_INVALID.
 */
export async function readSignals(file: string): Promise<SignalRow[]> {
  return await read(file, ["signal", "service", "start", "end", "value"], ["known_at"], (row, at) => {
    if (!NAME.test(row.signal!)) throw invalid(at, `found ${shown(row.signal)}, expected a name of a–z, 0–9 and _`);
    const startMs = time(row.start, "start", at);
    const endMs = time(row.end, "end", at);
    if (endMs <= startMs) throw invalid(at, "it ends before it begins");
    const value = Number(row.value);
    if (row.value === "" || !Number.isFinite(value) || Math.abs(value) > 1e9)
      throw invalid(at, `found ${shown(row.value)}, expected a number`);
    const knownAtMs = row.known_at === "" ? startMs : time(row.known_at, "known_at", at);
    return { signal: row.signal!, service: row.service === "" ? null : row.service!, startMs, endMs, value, knownAtMs };
  });
}

async function read<Row>(
  file: string,
  needed: readonly string[],
  optional: readonly string[],
  parse: (cells: Record<string, string>, at: Position) => Row,
): Promise<Row[]> {
  const rows: Row[] = [];
  let header: readonly string[] | null = null;
  try {
    for await (const [line, text] of lines(file)) {
      const at = { file, line };
      if (text === null) throw invalid(at, "a line that is too long");
      if (text.trim() === "") continue;
      const cells: string[] = csvCells(header === null ? text.replace(/^\ufeff/, "") : text).map((cell) => cell.trim());
      if (header === null) {
        for (const name of needed)
          if (!cells.includes(name))
            throw invalid(at, `no column ${name}; expected ${[...needed, ...optional].join(",")}`);
        header = cells;
        continue;
      }
      const names: readonly string[] = header;
      if (cells.length !== header.length) throw invalid(at, `${cells.length} cells; expected ${header.length}`);
      if (rows.length === MAX_ROWS) throw invalid(at, `more than ${MAX_ROWS} rows`);
      const named = Object.fromEntries(
        [...needed, ...optional].map((name) => [name, cells[names.indexOf(name)] ?? ""]),
      );
      rows.push(parse(named, at));
    }
  } catch (cause) {
    if (cause instanceof BallastError && cause.code !== "COVARIATE_INVALID")
      throw invalid({ file }, cause.message, cause);
    throw cause;
  }
  if (header === null) throw invalid({ file }, `an empty file; expected ${[...needed, ...optional].join(",")}`);
  return rows;
}

function time(text: string | undefined, name: string, at: Position): number {
  const ms = timeMs(text);
  if (Number.isNaN(ms)) throw invalid(at, `${name} is ${shown(text)}, expected a time with its zone`);
  return ms;
}

function shown(text: string | undefined): string {
  return JSON.stringify((text ?? "").slice(0, 60));
}

function invalid(position: Position, what: string, cause?: unknown): BallastError {
  return new BallastError("COVARIATE_INVALID", what, { position, cause });
}
