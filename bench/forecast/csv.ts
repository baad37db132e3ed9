import { readFileSync } from "node:fs";
import { BallastError } from "../../common/errors.ts";
import { csvCells } from "../../control/ingest/csv-cells.ts";

/** Lines of a CSV file that fits in memory, split into fields, the header first. Errors: BENCH_DATA. */
export function readCsvLines(file: string): string[][] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new BallastError("BENCH_DATA", `${file} cannot be read`, { cause });
  }
  return text
    .split(/\r?\n/)
    .filter((line) => line !== "")
    .map((line) => csvCells(line));
}

/** The named columns of a regular CSV file, as objects. Errors: BENCH_DATA (column absent, row of another length). */
export function readCsv<Column extends string>(file: string, columns: readonly Column[]): Record<Column, string>[] {
  const [header = [], ...rows] = readCsvLines(file);
  const indexes = columns.map((name) => {
    const index = header.indexOf(name);
    if (index < 0) throw new BallastError("BENCH_DATA", `no column ${name}`, { position: { file, line: 1 } });
    return index;
  });
  return rows.map((fields, i) => {
    if (fields.length !== header.length)
      throw new BallastError("BENCH_DATA", `${fields.length} fields, the header has ${header.length}`, {
        position: { file, line: i + 2 },
      });
    return Object.fromEntries(columns.map((name, k) => [name, fields[indexes[k]!]!])) as Record<Column, string>;
  });
}
