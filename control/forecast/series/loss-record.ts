import type { ForecastShape } from "../baselines/quantiles.ts";
import { type Drawn, sharesByLoss } from "./mixture.ts";
import { scoreForecasts, type Window, type WindowScores } from "./window-backtest.ts";

/** Windows that count at most, the newest ones. */
const MAX_COUNTED = 48;

/** What several forecasters got wrong on the same windows, oldest first. */
export interface LossRecord {
  singles: ReadonlyMap<string, WindowScores["single"]>;
  /** Per window whether anything was observed in it. */
  observed: readonly boolean[];
  /** Per window the step that it begins at, and their length. */
  starts: readonly number[];
  horizon: number;
}

/** How many horizons its windows span: those before a test overlap. */
export function horizonsOf({ starts, horizon }: LossRecord): number {
  return starts.length === 0 ? 0 : (starts.at(-1)! - starts[0]! + horizon) / horizon;
}

/** @param forecasts per name one per window */
export function lossRecord(
  forecasts: ReadonlyMap<string, Float64Array[][]>,
  windows: readonly Window[],
  options: ForecastShape,
): LossRecord {
  return {
    horizon: options.horizon,
    starts: windows.map(({ past }) => past.length),
    observed: windows.map(({ actual }) => actual.some((value) => Number.isFinite(value))),
    singles: new Map([...forecasts].map(([name, said]) => [name, scoreForecasts(name, windows, said, options).single])),
  };
}

/** The first windows of a record: those that were over at some moment. */
export function upTo({ singles, observed, starts, horizon }: LossRecord, over: number): LossRecord {
  return {
    horizon,
    starts: starts.slice(0, over),
    observed: observed.slice(0, over),
    singles: new Map([...singles].map(([name, values]) => [name, values.slice(0, over)])),
  };
}

export interface ShareOptions {
  /** In whose mean losses are counted. */
  reference: string;
  preferred: string;
  /** Of the MASE in a loss; the rest is pinball loss. */
  maseWeight: number;
  drawn?: Drawn | undefined;
}

/**
 * Shares of forecasters by records that follow each other; empty where no window counts. A loss is partly MASE, partly pinball loss, each in
 * units of the reference's mean. Windows in which nothing was observed are left out; one with an answer that is not finite counts as
 * infinitely bad.
 * @param names in all of the records, as the reference is
 */
export function sharesOf(
  records: readonly LossRecord[],
  names: readonly string[],
  { reference, preferred, maseWeight, drawn }: ShareOptions,
): Map<string, number> {
  const kept = (name: string) =>
    records.flatMap(({ singles, observed }) => singles.get(name)!.filter((_, i) => observed[i])).slice(-MAX_COUNTED);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const mase = mean(kept(reference).map((one) => one.mase)) || 1;
  const loss = mean(kept(reference).map((one) => one.loss)) || 1;
  const losses = names.map((name): [string, number[]] => [
    name,
    kept(name).map((one) => {
      const both = maseWeight * (one.mase / mase) + (1 - maseWeight) * (one.loss / loss);
      return Number.isFinite(both) ? both : Number.POSITIVE_INFINITY;
    }),
  ]);
  return sharesByLoss(new Map(losses), { preferred, drawn });
}
