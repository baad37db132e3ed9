import { HELD_OUT_SHARE } from "../../features/series/training-examples.ts";
import { BASELINES } from "../baselines/all.ts";
import { baselineForecaster } from "../baselines/compare.ts";
import { FallbackError } from "../reasons.ts";
import { bankQuantiles, leastPast } from "./bank-forecast.ts";
import { choiceLosses, choiceWindows, chooseByLoss } from "./choose-forecaster.ts";
import { naive, seasonalNaive } from "./naive.ts";
import type { SeriesModel } from "./series-model.ts";
import { lastWindows, scoreWindows, type Window, type WindowForecaster, type WindowScores } from "./window-backtest.ts";

/** The anchor that a series model corrects, as a forecast of its own. */
export const COMBINATION = "combination";
export const MODEL = "model";
const REFERENCE = "seasonal naive";
/** Horizons before the test that the choice may look at, where nothing was trained on them. */
const CHOICE_HORIZONS = 24;

export interface ContestOptions {
  season: number;
  horizon: number;
  /** Windows at the end of the series, without overlap. */
  windows: number;
  levels: readonly number[];
  /** Fitted on nothing behind the start of the first window, the newest HELD_OUT_SHARE of which it did not see. */
  model: SeriesModel | null;
}

export interface Contest {
  windows: Window[];
  /** Every candidate on the same windows: baselines, combination, model. */
  rows: WindowScores[];
  /** Name of the row that answers; chosen without a look at the windows. */
  answered: string;
  /** Answers of the model that its guard refused. */
  refused: number;
}

/** Scores all that can answer on the last windows of a series, and says which one would have been asked. */
export async function holdContest(values: Float64Array, options: ContestOptions): Promise<Contest> {
  const { season, horizon, windows: count, levels, model } = options;
  const firstTest = values.length - count * horizon;
  const shape = { season, horizon, levels };
  const candidates = new Map<string, WindowForecaster>([
    ["naive", (past) => naive(past, horizon, levels)],
    [REFERENCE, (past) => seasonalNaive(past, horizon, levels, season)],
  ]);
  for (const baseline of BASELINES)
    if (!candidates.has(baseline.name) && firstTest >= baseline.least(shape))
      candidates.set(baseline.name, baselineForecaster(baseline, shape));
  if (firstTest >= leastPast(shape)) candidates.set(COMBINATION, (past) => bankQuantiles(past, shape)!);
  let refused = 0;
  if (model !== null)
    candidates.set(MODEL, async (past) => {
      try {
        return (await model.forecast([{ values: past }]))[0]!;
      } catch (error) {
        if (!(error instanceof FallbackError)) throw error;
        refused++;
        return bankQuantiles(past, shape) ?? seasonalNaive(past, horizon, levels, season);
      }
    });
  const answered = await choose(candidates, values.subarray(0, firstTest), shape);
  refused = 0;
  const windows = lastWindows(values, horizon, count);
  const rows: WindowScores[] = [];
  for (const [name, forecaster] of candidates) rows.push(await scoreWindows(name, windows, forecaster, shape));
  return { windows, rows, answered, refused };
}

/**
 * Who answers: the combination, or the baseline that was clearly better on the windows before the test; then the model, if it was better
 * than that one on the share of the history that it was neither fitted nor calibrated on. Without room to choose: the combination, else
 * seasonal naive.
 */
async function choose(
  candidates: ReadonlyMap<string, WindowForecaster>,
  history: Float64Array,
  options: { season: number; horizon: number; levels: readonly number[] },
): Promise<string> {
  const { season, horizon } = options;
  const span = CHOICE_HORIZONS * horizon;
  // A candidate that cannot answer every window of the choice has no part in it.
  const least = Math.max(season + 2, ...BASELINES.map((baseline) => baseline.least(options)));
  const simple = new Map([...candidates].filter(([name]) => name !== MODEL));
  let windows = simple.has(COMBINATION)
    ? choiceWindows(history, horizon, span, Math.max(least, leastPast(options)))
    : [];
  if (windows.length === 0) {
    simple.delete(COMBINATION);
    windows = choiceWindows(history, horizon, span, least);
  }
  const chosen = chooseByLoss(await choiceLosses(simple, windows, REFERENCE, options), COMBINATION);
  const best = chosen ?? (candidates.has(COMBINATION) ? COMBINATION : REFERENCE);
  const model = candidates.get(MODEL);
  if (model === undefined) return best;
  const unseen = choiceWindows(history, horizon, Math.round(HELD_OUT_SHARE * history.length), leastPast(options));
  const pair = new Map([REFERENCE, best].map((name): [string, WindowForecaster] => [name, candidates.get(name)!])).set(
    MODEL,
    model,
  );
  const losses = await choiceLosses(pair, unseen, REFERENCE, options);
  if (best !== REFERENCE) losses.delete(REFERENCE);
  return chooseByLoss(losses) ?? best;
}
