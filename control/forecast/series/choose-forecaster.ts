import { scoreForecasts, type Window, windowsAt } from "./window-backtest.ts";

/** Windows that a choice looks at, at most, and how many horizons before the test they may lie. */
const MAX_WINDOWS = 24;
const MAX_SPAN_HORIZONS = 24;

export interface ChoiceOptions {
  season: number;
  horizon: number;
  levels: readonly number[];
}

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

/**
 * Loss per forecaster and window: half of its MASE and half of its pinball loss, each in units of the reference's mean. Windows in which
 * nothing was observed are left out; one with an answer that is not finite counts as infinitely bad.
 */
export function choiceLosses(
  forecasts: ReadonlyMap<string, Float64Array[][]>,
  windows: readonly Window[],
  reference: string,
  options: ChoiceOptions,
): Map<string, number[]> {
  const scored = new Map(
    [...forecasts].map(([name, said]) => [name, scoreForecasts(name, windows, said, options).single]),
  );
  const observed = windows.map(({ actual }) => actual.some((value) => Number.isFinite(value)));
  const kept = (name: string) => scored.get(name)!.filter((_, i) => observed[i]);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const mase = mean(kept(reference).map((one) => one.mase)) || 1;
  const loss = mean(kept(reference).map((one) => one.loss)) || 1;
  return new Map(
    [...forecasts.keys()].map((name) => [
      name,
      kept(name).map((one) => {
        const both = (one.mase / mase + one.loss / loss) / 2;
        return Number.isFinite(both) ? both : Number.POSITIVE_INFINITY;
      }),
    ]),
  );
}
