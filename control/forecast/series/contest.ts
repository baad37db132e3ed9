import { HELD_OUT_SHARE } from "../../features/series/training-examples.ts";
import type { ForecastShape } from "../baselines/quantiles.ts";
import { FallbackError } from "../reasons.ts";
import { choiceWindows } from "./choose-forecaster.ts";
import { type LossRecord, lossRecord, sharesOf, upTo } from "./loss-record.ts";
import { COMBINATION, type Member, membersOf, REFERENCE } from "./members.ts";
import { heldValue, mixed } from "./mixture.ts";
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
/** Windows of the test that must be over before they alone say shares: one or two are luck. */
const MIN_OVER = 3;

export interface ContestOptions {
  season: number;
  horizon: number;
  /** Windows at the end of the series, without overlap. */
  windows: number;
  levels: readonly number[];
  /** Fitted on nothing behind the start of the first window, the newest HELD_OUT_SHARE of which it did not see. */
  model: SeriesModel | null;
  /** Whether shares learn from the windows that are over, as a forecaster in use would (default); else they stay what they were before the first. */
  learns?: boolean;
}

export interface Contest {
  windows: Window[];
  /** Every candidate on the same windows: members, model, mixture. */
  rows: WindowScores[];
  /** Name of the row that answers: the mixture. */
  answered: string;
  /** What the mixture consists of, mean over the windows; each window's were fixed before it began. */
  shares: Map<string, number>;
  /** Answers of the model that its guard refused. */
  refused: number;
}

/** Forecasts per name and window. */
type Forecasts = Map<string, Float64Array[][]>;

/** Scores all that can answer on the last windows of a series, and the mixture of them that would have been asked at each. */
export async function holdContest(values: Float64Array, options: ContestOptions): Promise<Contest> {
  const { season, horizon, windows: count, levels, model, learns = true } = options;
  const firstTest = values.length - count * horizon;
  const shape = { season, horizon, levels };
  const members = membersOf(shape).filter(({ least }) => firstTest >= least);
  const history = values.subarray(0, firstTest);
  const windows = lastWindows(values, horizon, count);
  const forecasts = await forecastAll(members, windows);
  const before = await recordBefore(members, history, shape);
  const during = lossRecord(forecasts, windows, shape);
  const over = (record: LossRecord, i: number): LossRecord => upTo(record, learns ? i : 0);
  let shares = windows.map((_, i) => sharesOfMembers(before, over(during, i)));
  let refused = 0;
  if (model !== null) {
    const mixture = mixtures(shares, forecasts, windows, shape);
    const said = await modelForecasts(model, windows, mixture);
    refused = said.refused;
    forecasts.set(MODEL, said.forecasts);
    const unseen = await recordOfModel(model, members, sharesOfMembers(before, upTo(during, 0)), history, shape);
    const pair = recordOfPair(forecasts.get(REFERENCE)!, mixture, said.forecasts, windows, shape);
    shares = shares.map((one, i) => withModel(one, unseen, over(pair, i)));
  }
  forecasts.set(MIXTURE, mixtures(shares, forecasts, windows, shape));
  const rows = [...forecasts].map(([name, said]) => scoreForecasts(name, windows, said, shape));
  return { windows, rows, answered: MIXTURE, shares: meanOf(shares), refused };
}

/** What the members got wrong on windows at the end of the history; those that it is too short for are not in it. */
async function recordBefore(
  members: readonly Member[],
  history: Float64Array,
  shape: ForecastShape,
): Promise<LossRecord> {
  const { season, horizon } = shape;
  let able = members;
  for (;;) {
    const least = Math.max(...able.map((one) => one.least));
    const windows = choiceWindows(history, horizon, CHOICE_HORIZONS * horizon, least);
    if (windows.length >= MIN_WINDOWS || least <= season + 1)
      return lossRecord(await forecastAll(able, windows), windows, shape);
    able = able.filter((one) => one.least < least);
  }
}

/** Shares of the members when some windows of the test are over; without anything to go by, seasonal naive alone. */
function sharesOfMembers(before: LossRecord, over: LossRecord): Map<string, number> {
  const names = { reference: REFERENCE, preferred: COMBINATION };
  const windows = over.observed.length;
  // Where the history was too short for some, all can be held against each other only on the windows that are over.
  if (windows >= MIN_WINDOWS && before.singles.size < over.singles.size)
    return sharesOf([over], [...over.singles.keys()], names);
  const shares =
    before.observed.length > 0 || windows >= MIN_OVER
      ? sharesOf([before, over], [...before.singles.keys()], names)
      : new Map<string, number>();
  return shares.size > 0 ? shares : new Map([[REFERENCE, 1]]);
}

/** The model and the mixture of the others on the span that the model was neither fitted nor calibrated on. */
async function recordOfModel(
  model: SeriesModel,
  members: readonly Member[],
  shares: ReadonlyMap<string, number>,
  history: Float64Array,
  shape: ForecastShape,
): Promise<LossRecord> {
  const unseen = Math.round(HELD_OUT_SHARE * history.length);
  const asked = members.filter(({ name }) => shares.has(name) || name === REFERENCE);
  const least = Math.max(model.minPastSteps, ...asked.map((one) => one.least));
  const windows = choiceWindows(history, shape.horizon, unseen, least);
  const forecasts = await forecastAll(asked, windows);
  const mixture = mixtures(
    windows.map(() => shares),
    forecasts,
    windows,
    shape,
  );
  const { forecasts: said } = await modelForecasts(model, windows, mixture);
  return recordOfPair(forecasts.get(REFERENCE)!, mixture, said, windows, shape);
}

function recordOfPair(
  reference: Float64Array[][],
  mixture: Float64Array[][],
  model: Float64Array[][],
  windows: readonly Window[],
  shape: ForecastShape,
): LossRecord {
  const forecasts: Forecasts = new Map([
    [REFERENCE, reference],
    [MIXTURE, mixture],
    [MODEL, model],
  ]);
  return lossRecord(forecasts, windows, shape);
}

/** The model's share against the mixture's, by what both got wrong; none where nothing tells. */
function withModel(shares: ReadonlyMap<string, number>, unseen: LossRecord, over: LossRecord): Map<string, number> {
  const tells = unseen.observed.length > 0 || over.observed.length >= MIN_OVER;
  const names = { reference: REFERENCE, preferred: MIXTURE };
  const both = tells ? sharesOf([unseen, over], [MIXTURE, MODEL], names) : new Map<string, number>();
  const rest = both.size === 0 ? 1 : (both.get(MIXTURE) ?? 0);
  const out = new Map([...shares].map(([name, share]) => [name, share * rest]));
  if (rest < 1) out.set(MODEL, 1 - rest);
  return out;
}

function meanOf(shares: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const mean = new Map<string, number>();
  for (const one of shares)
    for (const [name, share] of one) mean.set(name, (mean.get(name) ?? 0) + share / shares.length);
  return mean;
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

/** @param shares per window */
function mixtures(
  shares: readonly ReadonlyMap<string, number>[],
  forecasts: Forecasts,
  windows: readonly Window[],
  { season, horizon, levels }: ForecastShape,
): Float64Array[][] {
  return windows.map(({ past }, i) => {
    const held = heldValue(past, Math.max(season, 2 * horizon));
    if (held !== null) return levels.map(() => new Float64Array(horizon).fill(held));
    const parts = [...shares[i]!].map(([name, share]) => ({ share, quantiles: forecasts.get(name)![i]! }));
    const said = mixed(parts);
    // A series that never fell below nought is a rate or a duration: it will not.
    if (past.every((value) => value >= 0))
      for (const row of said) for (let h = 0; h < horizon; h++) row[h] = Math.max(0, row[h]!);
    return said;
  });
}
