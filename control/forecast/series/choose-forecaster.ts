import { scoreWindows, type Window, type WindowForecaster, windowsAt } from "./window-backtest.ts";

/** Windows that a choice looks at, at most, and how many horizons before the test they may lie. */
const MAX_WINDOWS = 24;
const MAX_SPAN_HORIZONS = 24;
/** A simpler answer gives way only to one that was better by so many standard errors of their paired difference. */
const STANDARD_ERRORS = 1;

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

/** Loss of one forecaster per window: half of its MASE and half of its pinball loss, each in units of the reference's mean. */
export async function choiceLosses(
  candidates: ReadonlyMap<string, WindowForecaster>,
  windows: readonly Window[],
  reference: string,
  options: ChoiceOptions,
): Promise<Map<string, number[]>> {
  const scored = new Map<string, { mase: number; loss: number }[]>();
  for (const [name, forecaster] of candidates)
    scored.set(name, (await scoreWindows(name, windows, forecaster, options)).single);
  const observed = windows.map((_, i) => Number.isFinite(scored.get(reference)![i]!.mase));
  const kept = (name: string) => scored.get(name)!.filter((_, i) => observed[i]);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const mase = mean(kept(reference).map((one) => one.mase)) || 1;
  const loss = mean(kept(reference).map((one) => one.loss)) || 1;
  return new Map(
    [...candidates.keys()].map((name) => [name, kept(name).map((one) => (one.mase / mase + one.loss / loss) / 2)]),
  );
}

/**
 * The name with the least mean loss. `preferred`, where it is among them, gives way only to one that is better by more than a standard
 * error of the difference: the least of many means is partly luck. Null without a window.
 */
export function chooseByLoss(losses: ReadonlyMap<string, readonly number[]>, preferred?: string): string | null {
  let best: string | null = null;
  let least = Number.POSITIVE_INFINITY;
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  for (const [name, values] of losses) {
    if (values.length > 0 && mean(values) < least) {
      best = name;
      least = mean(values);
    }
  }
  const own = preferred === undefined ? undefined : losses.get(preferred);
  if (best === null || own === undefined || own.length === 0 || best === preferred) return best;
  const other = losses.get(best)!;
  const differences = own.map((value, i) => value - other[i]!);
  const middle = mean(differences);
  const variance = differences.reduce((sum, value) => sum + (value - middle) ** 2, 0) / Math.max(1, own.length - 1);
  return middle > STANDARD_ERRORS * Math.sqrt(variance / own.length) ? best : preferred!;
}
