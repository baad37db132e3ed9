import { type Clock, systemClock } from "../../common/clock.ts";
import { EnvoyAdminScraper, type ScraperOptions } from "./envoy-admin-scraper.ts";
import type { TelemetrySnapshot } from "./telemetry.ts";
import { type EnvoyAnswer, TelemetryWindow } from "./telemetry-window.ts";

export interface PollOptions extends ScraperOptions {
  /** Admin addresses of all Envoys of the fleet. */
  urls: readonly string[];
  /** Time from the start of one round to the start of the next, real ms; 250 … 60,000 is sensible. */
  intervalMs: number;
  /** Called after every round, also when no endpoint answered. Must not throw. */
  onSnapshot: (snapshot: TelemetrySnapshot) => void;
  /** What every endpoint answered, before the round's snapshot. Must not throw. */
  onAnswers?: (answers: readonly EnvoyAnswer[]) => void;
  /** See TelemetryWindow; default 3 intervals, at least 10 s. */
  holdMs?: number;
  clock?: Clock;
}

/**
 * Reads all Envoys now and then every `intervalMs`; a round that takes longer delays the next, rounds never overlap.
 * `stop()` ends it and resolves when no request is left; onSnapshot is not called after it.
 */
export function pollTelemetry(options: PollOptions): { stop(): Promise<void> } {
  const { urls, intervalMs, onSnapshot } = options;
  const clock = options.clock ?? systemClock;
  const scraper = new EnvoyAdminScraper(options);
  const window = new TelemetryWindow({
    holdMs: options.holdMs ?? Math.max(10_000, 3 * intervalMs),
    minIntervalMs: intervalMs / 2,
  });
  const ended = new AbortController();

  const run = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      const startedMs = clock.monotonicMs();
      const answers = await Promise.all(urls.map((url) => scraper.read(url, ended.signal)));
      if (ended.signal.aborted) return;
      window.add(answers);
      options.onAnswers?.(answers);
      onSnapshot(window.snapshot(clock.monotonicMs()));
      await pause(Math.max(0, intervalMs - (clock.monotonicMs() - startedMs)), ended.signal);
    }
  };
  const done = run();
  return {
    stop: () => {
      ended.abort();
      return done;
    },
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal.addEventListener("abort", finish);
  });
}
