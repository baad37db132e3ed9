import { HELD_OUT_SHARE } from "../../features/series/training-examples.ts";
import type { ForecastShape } from "../baselines/quantiles.ts";
import { FallbackError } from "../reasons.ts";
import { choiceWindows } from "./choose-forecaster.ts";
import { CLASSICAL_MEDIAN, medianOf, partsOfMedian } from "./classical-median.ts";
import { type LossRecord, lossRecord, upTo } from "./loss-record.ts";
import { type Member, membersOf, REFERENCE } from "./members.ts";
import { around, heldValue, mixed } from "./mixture.ts";
import type { SeriesModel } from "./series-model.ts";
import {
  MIN_WINDOWS,
  MIXTURE,
  type MixtureShares,
  MODEL,
  meanShares,
  type Shares,
  sharesOfMembers,
  withModel,
} from "./shares.ts";
import { lastWindows, scoreForecasts, type Window, type WindowScores } from "./window-backtest.ts";

export { COMBINATION } from "./members.ts";
export { MIXTURE, MODEL } from "./shares.ts";

/** Horizons before the test that the shares may look at. */
const CHOICE_HORIZONS = 24;

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
  /** What the mixture's median consists of, mean over the windows; each window's were fixed before it began. */
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
  const history = values.subarray(0, firstTest);
  const members = membersOf(shape, history).filter(({ least }) => firstTest >= least);
  const windows = lastWindows(values, horizon, count);
  const forecasts = await forecastAll(members, windows, season);
  const before = await recordBefore(members, history, shape);
  const during = lossRecord(forecasts, windows, shape);
  const over = (window: number): number => (learns ? window : 0);
  let shares = windows.map((_, i) => sharesOfMembers(before, during, over(i), season));
  let refused = 0;
  if (model !== null) {
    const mixture = mixtures(shares, forecasts, windows, shape);
    const said = await modelForecasts(model, windows, mixture);
    refused = said.refused;
    forecasts.set(MODEL, said.forecasts);
    const unseen = await recordOfModel(model, members, sharesOfMembers(before, during, 0, season), history, shape);
    const pair = recordOfPair(forecasts.get(REFERENCE)!, mixture, said.forecasts, windows, shape);
    shares = shares.map((one, i) => withModel(one, unseen, upTo(pair, over(i))));
  }
  forecasts.set(MIXTURE, mixtures(shares, forecasts, windows, shape));
  const rows = [...forecasts].map(([name, said]) => scoreForecasts(name, windows, said, shape));
  return { windows, rows, answered: MIXTURE, shares: meanShares(shares), refused };
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
      return lossRecord(await forecastAll(able, windows, season), windows, shape);
    able = able.filter((one) => one.least < least);
  }
}

/** The model and the mixture of the others on the span that the model was neither fitted nor calibrated on. */
async function recordOfModel(
  model: SeriesModel,
  members: readonly Member[],
  shares: MixtureShares,
  history: Float64Array,
  shape: ForecastShape,
): Promise<LossRecord> {
  const unseen = Math.round(HELD_OUT_SHARE * history.length);
  const wanted = new Set([REFERENCE, ...shares.middle.keys(), ...shares.width.keys()]);
  if (wanted.has(CLASSICAL_MEDIAN))
    for (const name of partsOfMedian(members, shape.season, history.length)) wanted.add(name);
  const asked = members.filter(({ name }) => wanted.has(name));
  const least = Math.max(model.minPastSteps, ...asked.map((one) => one.least));
  const windows = choiceWindows(history, shape.horizon, unseen, least);
  const forecasts = await forecastAll(asked, windows, shape.season);
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

async function forecastAll(members: readonly Member[], windows: readonly Window[], season: number): Promise<Forecasts> {
  const out: Forecasts = new Map();
  for (const { name, forecaster } of members) {
    const said: Float64Array[][] = [];
    for (const { past } of windows) said.push(await forecaster(past.slice()));
    out.set(name, said);
  }
  const parts = windows.map(({ past }) => partsOfMedian(members, season, past.length));
  if (parts.length > 0 && parts.every((names) => names.length > 0))
    out.set(
      CLASSICAL_MEDIAN,
      parts.map((names, i) => medianOf(names.map((name) => out.get(name)![i]!))),
    );
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
  shares: readonly MixtureShares[],
  forecasts: Forecasts,
  windows: readonly Window[],
  { season, horizon, levels }: ForecastShape,
): Float64Array[][] {
  return windows.map(({ past }, i) => {
    const held = heldValue(past, Math.max(season, 2 * horizon));
    if (held !== null) return levels.map(() => new Float64Array(horizon).fill(held));
    const mixedBy = (one: Shares) =>
      mixed([...one].map(([name, share]) => ({ share, quantiles: forecasts.get(name)![i]! })));
    const said = around(mixedBy(shares[i]!.middle), mixedBy(shares[i]!.width), levels);
    // A series that never fell below nought is a rate or a duration: it will not.
    if (past.every((value) => value >= 0))
      for (const row of said) for (let h = 0; h < horizon; h++) row[h] = Math.max(0, row[h]!);
    return said;
  });
}
