import { occurrences } from "../../common/recurrence.ts";
import type { FreezeWindow } from "./freeze.ts";

/** One time at which nothing may change, as history or as what is to come. */
export interface FreezeSpan {
  startMs: number;
  endMs: number;
  /** Null: all services. */
  services: readonly string[] | null;
}

/** Most spans of one answer: a daily freeze over 50 years. */
const MAX_SPANS = 20_000;
/** A daily window has fewer occurrences in it than one answer of `occurrences` holds. */
const PIECE_MS = 365 * 86_400_000;

/** The occurrences of the windows that deny, which overlap [fromMs, toMs), in the order of the windows and then of time. */
export function freezeSpans(windows: readonly FreezeWindow[], fromMs: number, toMs: number): FreezeSpan[] {
  const spans: FreezeSpan[] = [];
  for (const { effect, services, schedule } of windows) {
    if (effect !== "deny") continue;
    let lastStartMs = Number.NEGATIVE_INFINITY;
    for (let from = fromMs; from < toMs; from += PIECE_MS)
      for (const { startMs, endMs } of occurrences(schedule, from, Math.min(toMs, from + PIECE_MS), "widest")) {
        // One that lies across two pieces is found in both.
        if (startMs <= lastStartMs) continue;
        lastStartMs = startMs;
        if (spans.length === MAX_SPANS) return spans;
        spans.push({ startMs, endMs, services });
      }
  }
  return spans;
}
