import { type Window, windowsAt } from "./window-backtest.ts";

/** Windows that a choice looks at, at most, and how many horizons before the test they may lie. */
const MAX_WINDOWS = 24;
const MAX_SPAN_HORIZONS = 24;

/**
 * Windows at the end of the history to choose on, evenly spaced, overlapping where the span is short.
 * @param span steps at the end that they may lie in @param least steps of past that the first must have
 */
export function choiceWindows(history: Float64Array, horizon: number, span: number, least: number): Window[] {
  const last = history.length - horizon;
  const first = Math.max(least, last + horizon - Math.min(span, MAX_SPAN_HORIZONS * horizon));
  if (first > last) return [];
  const count = Math.min(MAX_WINDOWS, last - first + 1);
  const starts = Array.from({ length: count }, (_, i) =>
    count === 1 ? last : Math.round(first + (i * (last - first)) / (count - 1)),
  );
  return windowsAt(history, horizon, starts);
}
