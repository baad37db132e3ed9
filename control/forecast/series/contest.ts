import { HELD_OUT_SHARE } from "../../features/series/training-examples.ts";
import type { ForecastShape } from "../baselines/quantiles.ts";
import { FallbackError } from "../reasons.ts";
import { choiceLosses, choiceWindows } from "./choose-forecaster.ts";
import { COMBINATION, type Member, membersOf, REFERENCE } from "./members.ts";
import { heldValue, mixed, sharesByLoss } from "./mixture.ts";
import type { SeriesModel } from "./series-model.ts";
import { lastWindows, scoreForecasts, type Window, type WindowScores } from "./window-backtest.ts";

export { COMBINATION } from "./members.ts";
export const MODEL = "model";
/** What answers: members and model, each by its share. */
export const MIXTURE = "mixture";
/** Horizons before the test that the shares may look at. */
const CHOICE_HORIZONS = 24;
/** With fewer windows to choose on, a member that needs a long past is left out instead. */
const MIN_WINDOWS = 6;

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
  /** Every candidate on the same windows: members, model, mixture. */
  rows: WindowScores[];
  /** Name of the row that answers: the mixture. */
  answered: string;
  /** What the mixture consists of; fixed without a look at the windows. */
  shares: Map<string, number>;
  /** Answers of the model that its guard refused. */
  refused: number;
}

/** Forecasts per name and window. */
type Forecasts = Map<string, Float64Array[][]>;

/** Scores all that can answer on the last windows of a series, and the mixture of them that would have been asked. */
export async function holdContest(values: Float64Array, options: ContestOptions): Promise<Contest> {
  const { season, horizon, windows: count, levels, model } = options;
  const firstTest = values.length - count * horizon;
  const shape = { season, horizon, levels };
  const members = membersOf(shape).filter(({ least }) => firstTest >= least);
  const history = values.subarray(0, firstTest);
  const simple = await sharesOfMembers(members, history, shape);
  const shares = model === null ? simple : await sharesWithModel(model, members, simple, history, shape);
  const windows = lastWindows(values, horizon, count);
  const forecasts = await forecastAll(members, windows);
  let refused = 0;
  if (model !== null) {
    const said = await modelForecasts(model, windows, mixtures(simple, forecasts, windows, shape));
    refused = said.refused;
    forecasts.set(MODEL, said.forecasts);
  }
  forecasts.set(MIXTURE, mixtures(shares, forecasts, windows, shape));
  const rows = [...forecasts].map(([name, said]) => scoreForecasts(name, windows, said, shape));
  return { windows, rows, answered: MIXTURE, shares, refused };
}

/** Shares by the losses on windows at the end of the history; without room for one, seasonal naive alone. */
async function sharesOfMembers(
  members: readonly Member[],
  history: Float64Array,
  shape: ForecastShape,
): Promise<Map<string, number>> {
  const { season, horizon } = shape;
  let able = members;
  let windows: Window[] = [];
  for (;;) {
    const least = Math.max(...able.map((one) => one.least));
    windows = choiceWindows(history, horizon, CHOICE_HORIZONS * horizon, least);
    if (windows.length >= MIN_WINDOWS || least <= season + 1) break;
    able = able.filter((one) => one.least < least);
  }
  if (windows.length === 0) return new Map([[REFERENCE, 1]]);
  return sharesByLoss(choiceLosses(await forecastAll(able, windows), windows, REFERENCE, shape), COMBINATION);
}

/** The model's share against the mixture's, by the span that the model was neither fitted nor calibrated on. */
async function sharesWithModel(
  model: SeriesModel,
  members: readonly Member[],
  shares: Map<string, number>,
  history: Float64Array,
  shape: ForecastShape,
): Promise<Map<string, number>> {
  const unseen = Math.round(HELD_OUT_SHARE * history.length);
  const asked = members.filter(({ name }) => shares.has(name) || name === REFERENCE);
  const least = Math.max(model.minPastSteps, ...asked.map((one) => one.least));
  const windows = choiceWindows(history, shape.horizon, unseen, least);
  if (windows.length === 0) return shares;
  const forecasts = await forecastAll(asked, windows);
  const mixture = mixtures(shares, forecasts, windows, shape);
  const { forecasts: said } = await modelForecasts(model, windows, mixture);
  const pair: Forecasts = new Map([
    [REFERENCE, forecasts.get(REFERENCE)!],
    [MIXTURE, mixture],
    [MODEL, said],
  ]);
  const losses = choiceLosses(pair, windows, REFERENCE, shape);
  losses.delete(REFERENCE);
  const both = sharesByLoss(losses, MIXTURE);
  const rest = both.get(MIXTURE) ?? 0;
  const out = new Map([...shares].map(([name, share]) => [name, share * rest]));
  if (rest < 1) out.set(MODEL, 1 - rest);
  return out;
}

async function forecastAll(members: readonly Member[], windows: readonly Window[]): Promise<Forecasts> {
  const out: Forecasts = new Map();
  for (const { name, forecaster } of members) {
    const said: Float64Array[][] = [];
    for (const { past } of windows) said.push(await forecaster(past.slice()));
    out.set(name, said);
  }
  return out;
}

/** The model's answers; where its guard refuses one, the mixture of the others stands in. */
async function modelForecasts(model: SeriesModel, windows: readonly Window[], otherwise: Float64Array[][]) {
  const forecasts: Float64Array[][] = [];
  let refused = 0;
  for (const [i, { past }] of windows.entries()) {
    try {
      forecasts.push((await model.forecast([{ values: past }]))[0]!);
    } catch (error) {
      if (!(error instanceof FallbackError)) throw error;
      refused++;
      forecasts.push(otherwise[i]!);
    }
  }
  return { forecasts, refused };
}

function mixtures(
  shares: ReadonlyMap<string, number>,
  forecasts: Forecasts,
  windows: readonly Window[],
  { season, horizon, levels }: ForecastShape,
): Float64Array[][] {
  return windows.map(({ past }, i) => {
    const held = heldValue(past, Math.max(season, 2 * horizon));
    if (held !== null) return levels.map(() => new Float64Array(horizon).fill(held));
    const parts = [...shares].map(([name, share]) => ({ share, quantiles: forecasts.get(name)![i]! }));
    const said = mixed(parts);
    // A series that never fell below nought is a rate or a duration: it will not.
    if (past.every((value) => value >= 0))
      for (const row of said) for (let h = 0; h < horizon; h++) row[h] = Math.max(0, row[h]!);
    return said;
  });
}
