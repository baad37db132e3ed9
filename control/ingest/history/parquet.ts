import { stat } from "node:fs/promises";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import {
  asyncBufferFromFile,
  type Compressors,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
  parquetSchema,
} from "hyparquet";
import { type HistoryBounds, HistoryBuilder, type ImportedHistory, invalid, tooLarge } from "./imported-history.ts";
import { noteReading, shown, stepStart } from "./reading.ts";

export interface ParquetHistoryOptions extends HistoryBounds {
  /** Length of a step, milliseconds; rows lie on multiples of it. */
  stepMs: number;
  /** Names of the columns; default `time`, `service`, `rps`. Without the latter two in the file each other column is a service. */
  timeColumn?: string;
  serviceColumn?: string;
  valueColumn?: string;
  /** Default 512 MiB. */
  maxFileBytes?: number;
  /** Default 20,000,000. */
  maxRows?: number;
}

/** Rows decoded at once: what is held beside the history itself. */
const ROWS_PER_READ = 65_536;
/** A page that says it unpacks to more is refused: writers make pages of about 1 MiB. */
const MAX_PAGE_BYTES = 256 * 2 ** 20;

/**
 * Reads past load from a Parquet file in the long form (time, service, rps) or the wide one (time, one column per service). Time is a
 * timestamp, an ISO string with its zone, or a number since 1970. Codecs: none, Snappy, gzip, zstd, Brotli.
 * Throws HISTORY_INVALID with file and row, HISTORY_TOO_LARGE at a bound.
 */
export async function readHistoryParquet(file: string, options: ParquetHistoryOptions): Promise<ImportedHistory> {
  const { stepMs, timeColumn = "time", serviceColumn = "service", valueColumn = "rps" } = options;
  const { maxFileBytes = 512 * 2 ** 20, maxRows = 20_000_000 } = options;
  const { size } = await stat(file).catch((cause: Error) => Promise.reject(invalid({ file }, cause.message, cause)));
  if (size > maxFileBytes) throw tooLarge({ file }, `${size} bytes; at most ${maxFileBytes} are read`);
  const buffer = await asyncBufferFromFile(file);
  const metadata = await parquetMetadataAsync(buffer).catch((cause: Error) =>
    Promise.reject(invalid({ file }, `not a Parquet file: ${cause.message}`, cause)),
  );
  const rows = Number(metadata.num_rows);
  if (rows > maxRows) throw tooLarge({ file }, `${rows} rows; at most ${maxRows} are read`);
  const names = leafColumns(metadata, file);
  const long = names.includes(serviceColumn) && names.includes(valueColumn);
  if (!names.includes(timeColumn))
    throw invalid({ file }, `no column ${timeColumn}; there are ${shown(names.join(", "))}`);
  const services = names.filter((name) => name !== timeColumn);
  const columns = long ? [timeColumn, serviceColumn, valueColumn] : names;
  const builder = new HistoryBuilder(stepMs, options);
  for (let rowStart = 0; rowStart < rows; rowStart += ROWS_PER_READ) {
    const rowEnd = Math.min(rows, rowStart + ROWS_PER_READ);
    let read: Record<string, unknown>[] = [];
    await parquetRead({
      file: buffer,
      metadata,
      columns,
      rowStart,
      rowEnd,
      compressors: COMPRESSORS,
      rowFormat: "object",
      onComplete: (found) => {
        read = found;
      },
    }).catch((cause: Error) => Promise.reject(invalid({ file }, `rows from ${rowStart + 1}: ${cause.message}`, cause)));
    if (read.length !== rowEnd - rowStart)
      throw invalid({ file }, `${read.length} rows from row ${rowStart + 1}, the file promises ${rowEnd - rowStart}`);
    for (const [i, row] of read.entries()) {
      const place = { file, line: rowStart + i + 1 };
      const startMs = stepStart(row[timeColumn], stepMs, place);
      if (!long) {
        for (const service of services) noteReading(builder, service, startMs, row[service], place);
        continue;
      }
      const service = row[serviceColumn];
      if (typeof service !== "string" || service === "")
        throw invalid(place, `found ${shown(service)}, expected the name of a service`);
      noteReading(builder, service, startMs, row[valueColumn], place);
    }
  }
  return builder.close({ source: file }, "no row");
}

function leafColumns(metadata: FileMetaData, file: string): string[] {
  const { children } = parquetSchema(metadata);
  const nested = children.find((child) => child.children.length > 0);
  if (nested !== undefined) throw invalid({ file }, `column ${nested.element.name} is nested; expected plain columns`);
  // What pandas adds for an index without a name.
  return children.map(({ element }) => element.name).filter((name) => name !== "__index_level_0__");
}

/** Node has these three; hyparquet itself has Snappy. Output is bounded by what the page's header promised. */
const COMPRESSORS: Compressors = {
  GZIP: (input, length) => gunzipSync(input, { maxOutputLength: page(length) }),
  ZSTD: (input, length) => zstdDecompressSync(input, { maxOutputLength: page(length) }),
  BROTLI: (input, length) => brotliDecompressSync(input, { maxOutputLength: page(length) }),
};

function page(length: number): number {
  if (!(length >= 0 && length <= MAX_PAGE_BYTES)) throw new Error(`a page of ${length} bytes`);
  return Math.max(1, length);
}
