import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { seasonalScale } from "../../control/forecast/scores/metrics.ts";
import { readCsv, readCsvLines } from "./csv.ts";
import { GIFT_EVAL_LEVELS, type Scored } from "./metrics.ts";

/**
 * The task `bizitobs_application/10S/short` of GIFT-Eval (Salesforce AI Research): Robot-Shop calls and latency every ten
 * seconds, 60 steps ahead, in the last 15 windows that do not overlap. Its published rows are what a forecast is ranked in.
 */
export const TASK = {
  name: "bizitobs_application/10S/short",
  series: ["Robot-Shop:calls.sum", "Robot-Shop:latency.mean"],
  horizon: 60,
  season: 360,
  maxWindows: 20,
  testShare: 0.1,
} as const;

/** Says what comes in the `horizon` steps after `past`: values[level][step] at GIFT_EVAL_LEVELS. It sees nothing else. */
export type Forecaster = (series: string, past: Float64Array, horizon: number) => readonly Float64Array[];

/** One test window: `past` is everything before it. */
export interface TestWindow {
  series: string;
  window: number;
  past: Float64Array;
  actual: Float64Array;
}

/** Folder of the reference data: BALLAST_SHARED_DATA, else beside the repository. */
export function dataFolder(): string {
  const repo = resolve(fileURLToPath(import.meta.url), "../../..");
  return resolve(repo, process.env.BALLAST_SHARED_DATA ?? "../shared/data");
}

export function loadWindows(folder = dataFolder()): TestWindow[] {
  const rows = readCsv(`${folder}/bizitobs/Application.csv`, TASK.series);
  return TASK.series.flatMap((series) =>
    windowsOf(
      series,
      Float64Array.from(rows, (row) => Number(row[series])),
    ),
  );
}

/** The number of windows is GIFT-Eval's: a tenth of the series, at most 20. */
export function windowsOf(series: string, values: Float64Array): TestWindow[] {
  const count = Math.min(TASK.maxWindows, Math.max(1, Math.ceil((TASK.testShare * values.length) / TASK.horizon)));
  return Array.from({ length: count }, (_, window) => {
    const start = values.length - (count - window) * TASK.horizon;
    return { series, window, past: values.subarray(0, start), actual: values.subarray(start, start + TASK.horizon) };
  });
}

/** Lets the forecaster answer each window. A copy of the past is handed over, so that nothing behind it can be reached. */
export function score(windows: readonly TestWindow[], forecaster: Forecaster): Scored[] {
  return windows.map(({ series, window, past, actual }) => {
    const quantiles = forecaster(series, past.slice(), TASK.horizon);
    if (quantiles.length !== GIFT_EVAL_LEVELS.length || quantiles.some((q) => q.length !== TASK.horizon))
      throw new Error(`the forecast of ${series}, window ${window}, has another shape than 9 × ${TASK.horizon}`);
    return { series, window, actual, quantiles, scale: seasonalScale(past, TASK.season) };
  });
}

export interface PublishedRow {
  model: string;
  mase: number;
  wql: number;
}

/**
 * The published rows of the task. The file joins the result files of all models, which differ in layout: some write the
 * mean absolute error twice (once for the median, once for the mean), which moves all that follows by one column, and some leave out
 * the domain or add columns at the end. A row that has it twice is known by the two being equal.
 */
export function loadPublished(folder = dataFolder()): PublishedRow[] {
  const [header = [], ...rows] = readCsvLines(`${folder}/bizitobs/gift_eval_bizitobs.csv`);
  const column = (name: string) => header.indexOf(name);
  return rows
    .filter((row) => row[column("dataset")] === TASK.name)
    .map((row) => {
      const moved = row[column("MAE")] === row[column("MAE") + 1] ? 1 : 0;
      const mase = Number(row[column("MASE") + moved]);
      const wql = Number(row[column("wQL") + moved]);
      if (!(mase > 0 && wql > 0)) throw new Error(`the published row of ${row[0]} has no scores`);
      return { model: row[column("model_dir")]!, mase, wql };
    });
}

/** Place that a score would take among the published rows, best first, counting from 1; ties go to the published row. */
export function rankOf(value: number, published: readonly number[]): number {
  return 1 + published.filter((other) => other <= value).length;
}
