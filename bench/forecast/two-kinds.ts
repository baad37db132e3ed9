/**
 * Holds models for a server against each other on the end of one load history, in the engine that serves them:
 *
 *     node bench/forecast/two-kinds.ts NAME=FOLDER...        default: demand=models/committed/demand
 *
 * The origins are those of the last 8 % of demo/estate/load_history.csv, which no training of `npm run train -- --estate demo/estate` fits or
 * calibrates on. The table of docs/reference/models.md is that of series models which were trained by
 *
 *     npm run train -- --estate demo/estate --groups velocity --season week --out FOLDER
 *
 * likewise with `--season day`, and with `--groups velocity,calendar --season day`; six to ten minutes each on two shared cores.
 */
import { join } from "node:path";
import { FEATURE_STEP_MS } from "../../control/features/schema.ts";
import { HELD_OUT_SHARE } from "../../control/features/series/training-examples.ts";
import { type BacktestResult, backtest } from "../../control/forecast/backtest.ts";
import { openForecaster } from "../../control/forecast/forecaster.ts";
import type { Scores } from "../../control/forecast/scores/metrics.ts";
import type { LoadHistory } from "../../control/ingest/load-history.ts";
import { readLoadHistoryCsv } from "../../control/ingest/load-history-csv.ts";
import { ROOT } from "../lib/native-build.ts";
import { formatTable } from "../lib/table.ts";

/** Steps from one origin to the next: a horizon, so that every step is scored once, and another that meets every minute of the hour. */
const EVERY_STEPS = [12, 5];

async function scored(folder: string, history: LoadHistory): Promise<BacktestResult[]> {
  const forecaster = await openForecaster({ modelDir: folder, log: { info: () => undefined, warn: () => undefined } });
  try {
    const { reason } = forecaster.status();
    if (reason !== null) throw new Error(`${folder}: ${reason.code}: ${reason.text}`);
    const { startMs, endMs } = history.span(history.services[0]!)!;
    const fromMs = endMs - HELD_OUT_SHARE * (endMs - startMs);
    const results: BacktestResult[] = [];
    for (const everySteps of EVERY_STEPS)
      results.push(
        await backtest(forecaster, history, { services: history.services, fromMs, toMs: endMs, everySteps }),
      );
    const other = results.find(({ source }) => source !== "model");
    if (other !== undefined) throw new Error(`${folder}: ${other.source} answered`);
    return results;
  } finally {
    forecaster.close();
  }
}

function row(name: string, [hourly, often]: readonly Scores[]): string[] {
  const errors = ({ mase, wql }: Scores) => `${mase.toFixed(4)}, ${wql.toFixed(5)}`;
  return [name, errors(hourly!), errors(often!), hourly!.coverage.map((share) => share.toFixed(3)).join(" ")];
}

const named = process.argv.length > 2 ? process.argv.slice(2) : [`demand=${join(ROOT, "models/committed/demand")}`];
const history = await readLoadHistoryCsv(join(ROOT, "demo/estate/load_history.csv"), { stepMs: FEATURE_STEP_MS });
const rows: string[][] = [];
let naive: readonly Scores[] = [];
for (const one of named) {
  const [name, folder] = one.split("=", 2) as [string, string];
  const results = await scored(folder, history);
  rows.push(
    row(
      name,
      results.map(({ scores }) => scores.model),
    ),
  );
  naive = results.map(({ scores }) => scores.seasonal_naive_weekly);
}
rows.push(row("seasonal naive over a week", naive));
const heads = EVERY_STEPS.map((steps) => `every ${(steps * FEATURE_STEP_MS) / 60_000} minutes: MASE, wQL`);
process.stdout.write(`${formatTable(["forecast", ...heads, "coverage"], rows)}\n`);
