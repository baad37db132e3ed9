import { type AccessLogFields, parseAccessLogLine } from "./access-log-line.ts";
import {
  type HistoryBounds,
  HistoryBuilder,
  type ImportedHistory,
  invalid,
  MAX_REJECTED_SHOWN,
  type Rejected,
} from "./imported-history.ts";
import { lines } from "./lines.ts";

export interface AccessLogOptions extends AccessLogFields, HistoryBounds {
  stepMs: number;
  /** Only these services are counted; the rest is left out. Clients choose the authority, so name yours. Default: all. */
  services?: readonly string[];
  /** Share of lines that may be malformed, 0 … 1; above it the files are taken for something else. Default 0.1. */
  maxRejectedShare?: number;
  /** Default 64 KiB. */
  maxLineBytes?: number;
}

/**
 * Counts requests per service and step. A step in which a service has no line is 0 when any line of the logs lies in it, and a gap when none
 * does: silence of everything is a log that is missing. The first and the last step are left out, for they are cut by the logs' ends.
 * Lines may come in any order; several files (of several Envoys, rotated, gzip by `.gz`) count together.
 * Throws HISTORY_INVALID, HISTORY_TOO_LARGE.
 */
export async function readAccessLogs(files: readonly string[], options: AccessLogOptions): Promise<ImportedHistory> {
  const counter = new AccessLogCounter(options);
  for (const file of files)
    for await (const [number, line] of lines(file, options.maxLineBytes)) counter.line(file, number, line);
  return counter.close(files.join(", "));
}

/** The pure half: takes the lines in any order. */
export class AccessLogCounter {
  readonly #options: AccessLogOptions;
  readonly #only: ReadonlySet<string> | null;
  readonly #counts: HistoryBuilder;
  readonly #rejected: Rejected = { count: 0, first: [] };
  readonly #names = new Set<string>();
  /** Starts of steps with any line, also of services that are not asked for. */
  readonly #seen = new Set<number>();
  #lines = 0;
  #left = 0;
  #nameless = 0;

  constructor(options: AccessLogOptions) {
    this.#options = options;
    this.#only = options.services === undefined ? null : new Set(options.services);
    this.#counts = new HistoryBuilder(options.stepMs, options);
  }

  /** @param line null: it was too long to be held */
  line(file: string, number: number, line: string | null): void {
    if (line?.trim() === "") return;
    this.#lines++;
    const found = line === null ? "longer than a line may be" : parseAccessLogLine(line, this.#options);
    if (typeof found === "string") {
      this.#rejected.count++;
      if (this.#rejected.first.length < MAX_REJECTED_SHOWN)
        this.#rejected.first.push({ file, line: number, reason: found });
      return;
    }
    const { stepMs, maxSteps = 1_000_000 } = this.#options;
    const start = Math.floor(found.atMs / stepMs) * stepMs;
    if (!this.#seen.has(start) && this.#seen.size >= maxSteps)
      throw invalid({ file, line: number }, `more than ${maxSteps} steps with lines`);
    this.#seen.add(start);
    if (found.service === null) {
      this.#nameless++;
      return;
    }
    if (this.#only?.has(found.service) === false) {
      this.#left++;
      return;
    }
    this.#names.add(found.service);
    this.#counts.count(found.service, start);
  }

  close(source: string): ImportedHistory {
    const { stepMs, maxRejectedShare = 0.1 } = this.#options;
    const { count, first } = this.#rejected;
    if (count > maxRejectedShare * this.#lines) {
      const { file, line, reason } = first[0]!;
      throw invalid({ file, line }, `${reason}; ${count} of ${this.#lines} lines are malformed`);
    }
    let fromMs = Number.POSITIVE_INFINITY;
    let lastMs = Number.NEGATIVE_INFINITY;
    for (const start of this.#seen) {
      fromMs = Math.min(fromMs, start);
      lastMs = Math.max(lastMs, start);
    }
    if (!(lastMs - fromMs >= 2 * stepMs))
      throw invalid(
        { file: source },
        `lines of fewer than three steps of ${stepMs / 1000} s; the outer two are incomplete`,
      );
    if (this.#names.size === 0) throw invalid({ file: source }, "no line of the services that were asked for");
    for (const start of this.#seen)
      for (const name of this.#names) if (!this.#counts.has(name, start)) this.#counts.set(name, start, 0);
    const notes: string[] = [];
    if (this.#left > 0) notes.push(`left out: ${this.#left} of other services`);
    if (this.#nameless > 0)
      notes.push(`left out: ${this.#nameless} without ${this.#options.by === "route" ? "a route" : "an authority"}`);
    const range = { fromMs: fromMs + stepMs, toMs: lastMs };
    return this.#counts.close({ source, rejected: this.#rejected, notes }, "no line of any service", {
      range,
      counted: true,
    });
  }
}
