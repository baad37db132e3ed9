import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createInterface } from "node:readline";
import { BallastError, type Position } from "../../common/errors.ts";
import { LoadHistory } from "./load-history.ts";
import { loadNumber } from "./load-number.ts";

export interface LoadHistoryCsvOptions {
  /** Length of a step, milliseconds; rows must lie on multiples of it. */
  stepMs: number;
  /** Steps kept per service; the oldest fall out. Default: LoadHistory's own. */
  maxSteps?: number;
  /** Default 256 MiB. */
  maxFileBytes?: number;
  /** Default 1024, as many as a fleet may have. */
  maxServices?: number;
}

/**
 * Reads `time,SERVICE,…`: one row per step, its start as an ISO time with zone, then requests per second per service.
 * Rows ascend and lie on multiples of the step. A missing row or an empty cell is a step without a reading (NaN).
 * Throws HISTORY_INVALID with file, line, column and what was expected at the first mistake.
 */
export async function readLoadHistoryCsv(file: string, options: LoadHistoryCsvOptions): Promise<LoadHistory> {
  const { stepMs, maxSteps, maxFileBytes = 256 * 2 ** 20, maxServices = 1024 } = options;
  const { size } = await stat(file).catch((cause: Error) => Promise.reject(invalid({ file }, cause.message, cause)));
  if (size > maxFileBytes) throw invalid({ file }, `${size} bytes; at most ${maxFileBytes} are read`);
  const parser = new LoadHistoryParser(file, stepMs, maxServices, maxSteps);
  const input = createReadStream(file, { encoding: "utf8" });
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) parser.line(line);
  return parser.end();
}

/** The pure half: takes the lines in order. */
export class LoadHistoryParser {
  readonly #file: string;
  readonly #stepMs: number;
  readonly #maxServices: number;
  readonly #history: LoadHistory;
  #services: string[] | null = null;
  #line = 0;
  #rows = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(file: string, stepMs: number, maxServices = 1024, maxSteps?: number) {
    this.#file = file;
    this.#stepMs = stepMs;
    this.#maxServices = maxServices;
    this.#history = new LoadHistory(maxSteps === undefined ? { stepMs } : { stepMs, maxSteps });
  }

  line(text: string): void {
    this.#line++;
    if (this.#line === 1) text = text.replace(/^\ufeff/, "");
    if (text.trim() === "") return;
    const cells = text.split(",");
    if (this.#services === null) this.#header(cells);
    else this.#row(cells, this.#services);
  }

  end(): LoadHistory {
    if (this.#services === null)
      throw invalid({ file: this.#file }, "an empty file; expected a header `time,SERVICE,…`");
    if (this.#rows === 0) throw invalid({ file: this.#file, line: this.#line }, "a header without rows");
    return this.#history;
  }

  #header(cells: string[]): void {
    const names = cells.map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
    if (names[0] !== "time") this.#fail(cells, 0, "expected a header that starts with `time`");
    const services = names.slice(1);
    if (services.length === 0 || services.length > this.#maxServices) {
      this.#fail(cells, 0, `${services.length} services; expected 1 to ${this.#maxServices} columns after \`time\``);
    }
    for (const [i, name] of services.entries()) {
      if (name === "") this.#fail(cells, i + 1, "expected the name of a service");
      if (services.indexOf(name) < i) this.#fail(cells, i + 1, "expected each service once");
    }
    this.#services = services;
  }

  #row(cells: string[], services: string[]): void {
    if (cells.length !== services.length + 1) {
      this.#fail(cells, cells.length - 1, `${cells.length} cells; expected ${services.length + 1} as in the header`);
    }
    const time = cells[0]!.trim();
    const zoned = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/.test(time);
    const ms = zoned ? Date.parse(time) : Number.NaN;
    if (Number.isNaN(ms)) this.#fail(cells, 0, "expected a time with its zone such as 2026-03-02T06:05:00Z");
    if (ms % this.#stepMs !== 0) {
      this.#fail(cells, 0, `expected a multiple of the step, ${this.#stepMs / 1000} s (history.step in ballast.yaml)`);
    }
    if (ms <= this.#lastMs) this.#fail(cells, 0, "expected a time after that of the row before");
    this.#lastMs = ms;
    this.#rows++;
    for (const [i, service] of services.entries()) {
      const rps = loadNumber(cells[i + 1]!);
      if (rps === null) continue;
      if (Number.isNaN(rps))
        this.#fail(cells, i + 1, "expected requests per second, a number from 0 to below 1e12, or nothing");
      this.#history.append(service, ms, rps);
    }
  }

  #fail(cells: readonly string[], cell: number, expected: string): never {
    const column = cells.slice(0, cell).reduce((sum, c) => sum + c.length + 1, 1);
    const found = JSON.stringify((cells[cell] ?? "").slice(0, 60));
    throw invalid({ file: this.#file, line: this.#line, column }, `found ${found}, ${expected}`);
  }
}

function invalid(position: Position, what: string, cause?: unknown): BallastError {
  return new BallastError("HISTORY_INVALID", what, { position, cause });
}
