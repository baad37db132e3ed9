import { loadNumber, MOST_RPS } from "../load-number.ts";
import { type HistoryBuilder, invalid } from "./imported-history.ts";
import { timeMs } from "./time.ts";

/** Where a cell stands: file and line, or file and row. */
export interface Place {
  file: string;
  line: number;
}

/** Start of a row's step. Throws HISTORY_INVALID unless it is a time with its zone on a multiple of the step. */
export function stepStart(value: unknown, stepMs: number, place: Place): number {
  const ms = timeMs(value);
  if (Number.isNaN(ms))
    throw invalid(place, `found ${shown(value)}, expected a time with its zone such as 2026-03-02T06:05:00Z`);
  if (ms % stepMs !== 0)
    throw invalid(place, `found ${shown(value)}, expected a multiple of the step, ${stepMs / 1000} s`);
  return ms;
}

/** Notes one cell. Nothing, null and NaN are steps without a reading; a second reading of a step or a bad number is HISTORY_INVALID. */
export function noteReading(
  builder: HistoryBuilder,
  service: string,
  startMs: number,
  value: unknown,
  place: Place,
): void {
  if (builder.has(service, startMs)) throw invalid(place, `a second reading of ${shown(service)} at this time`);
  const cell = typeof value === "string" ? loadNumber(value) : value;
  if (cell === null || cell === undefined || (typeof value === "number" && Number.isNaN(value))) {
    builder.missing(service, startMs, "an empty cell");
    return;
  }
  const rps = Number(cell);
  if (!(rps >= 0 && rps < MOST_RPS))
    throw invalid(place, `found ${shown(value)}, expected requests per second, from 0 to below 1e12`);
  builder.set(service, startMs, rps);
}

export function shown(value: unknown): string {
  const text = typeof value === "bigint" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.slice(0, 60);
}
