import { randomBytes } from "node:crypto";
import type { Clock } from "../../common/clock.ts";
import type { ForecastConfig } from "../config/forecast.ts";
import { behaviourSpans, MAX_VISITS, MIX_MS } from "../features/groups/behaviour.ts";
import { LiveVisits } from "../ingest/covariates/live-visits.ts";
import { LogTail } from "../ingest/covariates/log-tail.ts";
import { merged, type VisitColumns } from "../ingest/covariates/visit-columns.ts";

export interface FollowedLogsOptions {
  logs: ForecastConfig["accessLogs"];
  stepMs: number;
  clock: Clock;
  /** From wall time, which logs are written in, to the planning calendar. */
  timeOf: (wallMs: number) => number;
  /** Wall time between two looks at the logs. Default 1,000 ms. */
  everyMs?: number;
}

interface Followed {
  file: string;
  tail: LogTail;
  visits: LiveVisits;
  /** Why the file could not be read at the last look; null: it could. */
  fault: string | null;
}

/** Polls of one look at a log: 256 MiB, so that a log which is written faster than it is read cannot hold a forecast for ever. */
const MAX_POLLS = 64;

/** The access logs of ballast.yaml, followed while the server runs. What they hold is asked for by origin. */
export class FollowedLogs {
  readonly #options: FollowedLogsOptions;
  readonly #logs: Followed[];
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<void> | null = null;
  #stopped = false;

  constructor(options: FollowedLogsOptions) {
    this.#options = options;
    const { logs, stepMs, timeOf, clock } = options;
    const { start, end } = behaviourSpans(stepMs);
    const key = randomBytes(16).toString("hex");
    this.#logs = logs.map(({ file, service }) => {
      const visits = new LiveVisits({
        // A candidate may be asked a step after the model that steers.
        keepMs: start + 2 * stepMs,
        bucketMs: greatestCommonDivisor(stepMs, MIX_MS),
        delayMs: end,
        maxPerBucket: MAX_VISITS,
        timeOf,
        key,
      });
      const onLine = (line: string | null): void => visits.add(line, service, clock.nowMs());
      return { file, visits, tail: new LogTail({ file, onLine, onGap: () => visits.gap() }), fault: null };
    });
  }

  start(): void {
    if (this.#stopped || this.#logs.length === 0) return;
    this.#timer = setTimeout(() => {
      void this.look().finally(() => this.start());
    }, this.#options.everyMs ?? 1_000);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#looking;
    for (const { tail } of this.#logs) await tail.close();
  }

  /** Reads what was appended; whoever asks while it is being read waits for that. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#lookAtAll().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  /** Why the visits before an origin cannot be told; null: they can. */
  fault(originMs: number): { code: "COVARIATES_MISSING" | "COVARIATES_STALE"; text: string } | null {
    const { start, between } = behaviourSpans(this.#options.stepMs);
    for (const { file, visits, fault } of this.#logs) {
      if (fault !== null) return { code: "COVARIATES_STALE", text: `the access log ${file} cannot be read: ${fault}` };
      if (visits.unreadable)
        return {
          code: "COVARIATES_MISSING",
          text: `the access log ${file} has lines of no known format${visits.counts.held > 0 ? " among its newest" : ""}`,
        };
      if (visits.wholeFromMs > originMs - start) {
        const since = Number.isFinite(visits.wholeFromMs) ? `since ${iso(visits.wholeFromMs)}` : "without a line";
        const minutes = Math.round(start / 60_000);
        return {
          code: "COVARIATES_MISSING",
          text: `the access log ${file} is held ${since}; ${minutes} min are needed`,
        };
      }
    }
    const newestMs = Math.max(...this.#logs.map(({ visits }) => visits.newestMs));
    if (newestMs >= originMs - between) return null;
    const minutes = Math.round(between / 60_000);
    return {
      code: "COVARIATES_STALE",
      text: `no access log has a line of the last ${minutes} min; the newest is of ${iso(newestMs)}`,
    };
  }

  between(service: string, fromMs: number, toMs: number): VisitColumns {
    return merged(this.#logs.map(({ visits }) => visits.between(service, fromMs, toMs)));
  }

  get counts(): { read: number; unreadable: number; held: number } {
    const sum = { read: 0, unreadable: 0, held: 0 };
    for (const { visits } of this.#logs)
      for (const key of ["read", "unreadable", "held"] as const) sum[key] += visits.counts[key];
    return sum;
  }

  async #lookAtAll(): Promise<void> {
    for (const log of this.#logs) {
      try {
        for (let polls = 0; polls < MAX_POLLS && !this.#stopped && (await log.tail.poll()); polls++);
        log.fault = null;
      } catch (thrown) {
        log.fault = (thrown as NodeJS.ErrnoException).code ?? String(thrown);
      }
    }
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function iso(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).concat("Z");
}
