import { csvCells } from "../csv-cells.ts";
import { type HistoryBounds, HistoryBuilder, type ImportedHistory, invalid } from "./imported-history.ts";
import { lines } from "./lines.ts";
import { noteReading, shown, stepStart } from "./reading.ts";

export interface CsvHistoryOptions extends HistoryBounds {
  /** Length of a step, milliseconds; rows lie on multiples of it. */
  stepMs: number;
}

/**
 * Reads past load from CSV (RFC 4180 without line breaks in fields), in one of two forms by its header:
 *   long `time,service,rps` (columns in any order, others left alone): one row per service and step, in any order
 *   wide `time,SERVICE,…`: one row per step, one column per service
 * Times have a zone, or are seconds or milliseconds since 1970. Throws HISTORY_INVALID with file and line at the first mistake,
 * HISTORY_TOO_LARGE at a bound.
 */
export async function readHistoryCsv(file: string, options: CsvHistoryOptions): Promise<ImportedHistory> {
  const builder = new HistoryBuilder(options.stepMs, options);
  let header: Header | null = null;
  let rows = 0;
  for await (const [line, text] of lines(file, 1_048_576)) {
    const place = { file, line };
    if (text === null) throw invalid(place, "a line of more than 1 MiB");
    if (text.trim() === "") continue;
    const cells = csvCells(text);
    if (header === null) {
      header = readHeader(cells, file, line);
      continue;
    }
    if (cells.length !== header.width)
      throw invalid(place, `${cells.length} cells; expected ${header.width} as in the header`);
    rows++;
    const startMs = stepStart(cells[header.time], options.stepMs, place);
    if (header.long === null) {
      for (const [column, service] of header.services) noteReading(builder, service, startMs, cells[column], place);
    } else {
      const service = cells[header.long.service]!.trim();
      if (service === "") throw invalid(place, "no name of a service");
      noteReading(builder, service, startMs, cells[header.long.rps], place);
    }
  }
  if (header === null)
    throw invalid({ file }, "an empty file; expected a header `time,service,rps` or `time,SERVICE,…`");
  if (rows === 0) throw invalid({ file }, "a header without rows");
  return builder.close({ source: file }, "no row");
}

interface Header {
  width: number;
  time: number;
  long: { service: number; rps: number } | null;
  services: [number, string][];
}

function readHeader(cells: readonly string[], file: string, line: number): Header {
  const names = cells.map((cell, i) => (i === 0 ? cell.replace(/^\ufeff/, "") : cell).trim());
  const time = names.indexOf("time");
  const place = { file, line };
  if (time < 0) throw invalid(place, `found ${shown(names.join(","))}, expected a header with a column \`time\``);
  if (new Set(names).size < names.length) throw invalid(place, "a name that two columns have");
  if (names.includes("service") && names.includes("rps"))
    return {
      width: names.length,
      time,
      long: { service: names.indexOf("service"), rps: names.indexOf("rps") },
      services: [],
    };
  const services = [...names.entries()].filter(([column]) => column !== time);
  if (services.length === 0 || services.some(([, name]) => name === ""))
    throw invalid(place, "expected `service` and `rps`, or one named column per service");
  return { width: names.length, time, long: null, services };
}
