import { sharesByLoss } from "./mixture.ts";
import { scoreForecasts, type Window, type WindowScores } from "./window-backtest.ts";

/** Windows that count at most, the newest ones. */
const MAX_COUNTED = 48;

/** What several forecasters got wrong on the same windows, oldest first. */
export interface LossRecord {
  singles: ReadonlyMap<string, WindowScores["single"]>;
  /** Per window whether anything was observed in it. */
  observed: readonly boolean[];
}

/** @param forecasts per name one per window */
export function lossRecord(
  forecasts: ReadonlyMap<string, Float64Array[][]>,
  windows: readonly Window[],
  options: { season: number; levels: readonly number[] },
): LossRecord {
  return {
    observed: windows.map(({ actual }) => actual.some((value) => Number.isFinite(value))),
    singles: new Map([...forecasts].map(([name, said]) => [name, scoreForecasts(name, windows, said, options).single])),
  };
}

/** The first windows of a record: those that were over at some moment. */
export function upTo({ singles, observed }: LossRecord, over: number): LossRecord {
  return {
    observed: observed.slice(0, over),
    singles: new Map([...singles].map(([name, values]) => [name, values.slice(0, over)])),
  };
}

/**
 * Shares of forecasters by records that follow each other; empty where no window counts. A loss is half of the MASE and half of the pinball
 * loss, each in units of the reference's mean. Windows in which nothing was observed are left out; one with an answer that is not finite
 * counts as infinitely bad.
 * @param names in all of the records, as the reference is
 */
export function sharesOf(
  records: readonly LossRecord[],
  names: readonly string[],
  { reference, preferred }: { reference: string; preferred: string },
): Map<string, number> {
  const kept = (name: string) =>
    records.flatMap(({ singles, observed }) => singles.get(name)!.filter((_, i) => observed[i])).slice(-MAX_COUNTED);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const mase = mean(kept(reference).map((one) => one.mase)) || 1;
  const loss = mean(kept(reference).map((one) => one.loss)) || 1;
  const losses = names.map((name): [string, number[]] => [
    name,
    kept(name).map((one) => {
      const both = (one.mase / mase + one.loss / loss) / 2;
      return Number.isFinite(both) ? both : Number.POSITIVE_INFINITY;
    }),
  ]);
  return sharesByLoss(new Map(losses), preferred);
}
