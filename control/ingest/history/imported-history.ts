import { BallastError, type Position } from "../../../common/errors.ts";
import { LoadHistory } from "../load-history.ts";

/** Past load with the account of where it has none. */
export interface ImportedHistory {
  history: LoadHistory;
  /** Where it came from, for people: a file or an address, never with a credential. */
  source: string;
  services: ServiceProvenance[];
  /** Lines or rows that were not understood and left out. */
  rejected: Rejected;
  /** What the source itself said beside its answer, such as Prometheus' warnings; at most 20. */
  notes: string[];
}

export interface ServiceProvenance {
  service: string;
  /** The span that was looked at, the same for all services of one import. */
  fromMs: number;
  toMs: number;
  /** Steps with and without a reading; together they fill the span. */
  observed: number;
  missing: number;
  /** In order; at most MAX_GAPS, `gapsLeftOff` counts the rest. */
  gaps: HistoryGap[];
  gapsLeftOff: number;
}

/** Steps without a reading, one after another for the same reason. */
export interface HistoryGap {
  fromMs: number;
  toMs: number;
  reason: string;
}

export interface Rejected {
  count: number;
  /** Where and why, the first few; `line` counts from 1 (rows, for Parquet). */
  first: { file: string; line: number; reason: string }[];
}

export interface HistoryBounds {
  /** Default 1024, as many as a fleet may have. */
  maxServices?: number;
  /** Readings of all services together. Default 10,000,000. */
  maxReadings?: number;
  /** Steps from the first to the last reading. Default 1,000,000. */
  maxSteps?: number;
}

export const MAX_GAPS = 1_000;
export const MAX_REJECTED_SHOWN = 20;

/**
 * Collects readings in any order and closes them into a history. Throws HISTORY_TOO_LARGE at a bound, before it is passed.
 */
export class HistoryBuilder {
  readonly stepMs: number;
  readonly #bounds: Required<HistoryBounds>;
  readonly #series = new Map<string, Map<number, number>>();
  /** Reasons of steps that are known to be missing, by service. */
  readonly #reasons = new Map<string, Map<number, string>>();
  #readings = 0;

  /** @param stepMs whole milliseconds, > 0 */
  constructor(stepMs: number, bounds: HistoryBounds = {}) {
    if (!(Number.isInteger(stepMs) && stepMs > 0)) throw new Error(`a step of ${stepMs} ms`);
    this.stepMs = stepMs;
    this.#bounds = { maxServices: 1024, maxReadings: 10_000_000, maxSteps: 1_000_000, ...bounds };
  }

  /** Whether `set` was called for this step already: sources with one reading per step refuse a second one. */
  has(service: string, stepStartMs: number): boolean {
    return this.#series.get(service)?.has(stepStartMs / this.stepMs) === true;
  }

  /** @param stepStartMs a multiple of the step @param rps finite, ≥ 0 */
  set(service: string, stepStartMs: number, rps: number): void {
    this.#hold();
    this.#entry(service).set(stepStartMs / this.stepMs, rps);
  }

  /** Counts one request in a step, for `close` with `counted`. */
  count(service: string, stepStartMs: number): void {
    const entry = this.#entry(service);
    const index = stepStartMs / this.stepMs;
    const before = entry.get(index);
    if (before === undefined) this.#hold();
    entry.set(index, (before ?? 0) + 1);
  }

  /** Says why a step has no reading. */
  missing(service: string, stepStartMs: number, reason: string): void {
    this.#entry(service);
    let reasons = this.#reasons.get(service);
    if (reasons === undefined) {
      reasons = new Map();
      this.#reasons.set(service, reasons);
    }
    this.#hold();
    reasons.set(stepStartMs / this.stepMs, reason);
  }

  /**
   * @param otherwise why steps without a reading or a reason of their own have none
   * @param options range: the span asked for, multiples of the step (default: from the first to the last reading of any service);
   *   counted: values are requests per step
   */
  close(
    about: Pick<ImportedHistory, "source"> & Partial<Pick<ImportedHistory, "rejected" | "notes">>,
    otherwise: string,
    options: { range?: { fromMs: number; toMs: number }; counted?: boolean } = {},
  ): ImportedHistory {
    const { range, counted = false } = options;
    // Counts stay whole until here: a sum of rates would drift.
    const perRps = counted ? this.stepMs / 1000 : 1;
    let first = Number.POSITIVE_INFINITY;
    let last = Number.NEGATIVE_INFINITY;
    for (const entry of this.#series.values()) {
      for (const index of entry.keys()) {
        if (index < first) first = index;
        if (index > last) last = index;
      }
    }
    if (first > last) throw invalid({ file: about.source }, "no reading at all");
    const from = range === undefined ? first : range.fromMs / this.stepMs;
    const to = range === undefined ? last + 1 : range.toMs / this.stepMs;
    if (to - from > this.#bounds.maxSteps)
      throw tooLarge({ file: about.source }, `${to - from} steps from first to last; at most ${this.#bounds.maxSteps}`);
    const history = new LoadHistory({ stepMs: this.stepMs, maxSteps: Math.max(1, to - from) });
    const services = [...this.#series].map(([service, entry]) => {
      const account: ServiceProvenance = {
        service,
        fromMs: from * this.stepMs,
        toMs: to * this.stepMs,
        observed: 0,
        missing: 0,
        gaps: [],
        gapsLeftOff: 0,
      };
      const reasons = this.#reasons.get(service);
      let gap: HistoryGap | undefined;
      for (let index = from; index < to; index++) {
        const atMs = index * this.stepMs;
        const value = entry.get(index);
        if (value !== undefined) {
          history.append(service, atMs, value / perRps);
          account.observed++;
          gap = undefined;
          continue;
        }
        account.missing++;
        const reason = reasons?.get(index) ?? otherwise;
        if (gap !== undefined && gap.reason === reason) gap.toMs = atMs + this.stepMs;
        else {
          gap = { fromMs: atMs, toMs: atMs + this.stepMs, reason };
          if (account.gaps.length < MAX_GAPS) account.gaps.push(gap);
          else account.gapsLeftOff++;
        }
      }
      return account;
    });
    const { source, rejected = { count: 0, first: [] }, notes = [] } = about;
    return { history, source, services, rejected, notes };
  }

  #entry(service: string): Map<number, number> {
    let entry = this.#series.get(service);
    if (entry === undefined) {
      if (this.#series.size >= this.#bounds.maxServices)
        throw tooLarge({ file: service }, `one service more than the ${this.#bounds.maxServices} that are read`);
      entry = new Map();
      this.#series.set(service, entry);
    }
    return entry;
  }

  #hold(): void {
    if (++this.#readings > this.#bounds.maxReadings)
      throw new BallastError("HISTORY_TOO_LARGE", `more than ${this.#bounds.maxReadings} readings`);
  }
}

export function invalid(position: Position, what: string, cause?: unknown): BallastError {
  return new BallastError("HISTORY_INVALID", what, {
    position,
    cause,
    hint: "docs/reference/history.md says what each source must look like.",
  });
}

export function tooLarge(position: Position, what: string): BallastError {
  return new BallastError("HISTORY_TOO_LARGE", what, { position });
}
