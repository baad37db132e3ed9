import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { BallastError } from "../../common/errors.ts";
import { naive, seasonalNaive } from "./baselines.ts";
import { bootstrapInterval } from "./bootstrap.ts";
import { type Forecaster, loadPublished, loadWindows, type PublishedRow, rankOf, score, TASK } from "./gift-eval.ts";
import { coverage, mase, type Scored, weightedQuantileLoss } from "./metrics.ts";

/** What GIFT-Eval publishes for the two baselines; a scorer that does not give these is wrong, so the run ends there. */
const ANCHORS = { naive: 3.763642, seasonalNaive: 2.24233 };

interface Row {
  name: string;
  mase: number;
  interval: [number, number];
  wql: number;
  coverage: number;
  rank: number;
}

/**
 * Scores forecasts on the Robot-Shop task of GIFT-Eval and ranks them among the published rows.
 * `--forecasts FILE`: quantiles of the 30 windows as JSON, {"SERIES": [window][level][step]}.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { quick: { type: "boolean" }, forecasts: { type: "string" } },
  });
  const windows = loadWindows();
  const published = loadPublished();
  const judge = (name: string, forecaster: Forecaster) => judgeRow(name, score(windows, forecaster), published);
  const rows = [judge("naive", naive), judge("seasonal naive", seasonalNaive(TASK.season))];
  checkAnchors(rows[0]!.mase, rows[1]!.mase);
  const model =
    values.forecasts === undefined ? undefined : judge("model", fromFile(values.forecasts, windows[0]!.past.length));
  if (model !== undefined) rows.push(model);

  const counts = `${windows.length / TASK.series.length} windows × ${TASK.series.length} series, ${published.length} published rows`;
  process.stdout.write(`${TASK.name}: ${counts}\n\n${table(rows)}\n`);
  const result = {
    bench: "forecast",
    naive_mase: rows[0]!.mase,
    seasonal_naive_mase: rows[1]!.mase,
    mase: model?.mase ?? null,
    mase_ci: model?.interval ?? null,
    wql: model?.wql ?? null,
    rank: model?.rank ?? null,
    of: published.length,
  };
  process.stdout.write(`RESULT ${JSON.stringify(result)}\n`);
}

function judgeRow(name: string, scored: readonly Scored[], published: readonly PublishedRow[]): Row {
  const value = mase(scored);
  return {
    name,
    mase: value,
    interval: bootstrapInterval([...Map.groupBy(scored, (s) => s.window).values()], mase),
    wql: weightedQuantileLoss(scored),
    coverage: coverage(scored, 0.9) - coverage(scored, 0.1),
    rank: rankOf(
      value,
      published.map((row) => row.mase),
    ),
  };
}

function checkAnchors(naiveMase: number, seasonalMase: number): void {
  const near = (a: number, b: number) => Math.abs(a - b) < 5e-5;
  if (!near(naiveMase, ANCHORS.naive) || !near(seasonalMase, ANCHORS.seasonalNaive))
    throw new BallastError(
      "BENCH_DATA",
      `naive ${naiveMase} and seasonal naive ${seasonalMase} are not the published scores`,
    );
}

/** Answers from a file of forecasts; a window is known by the length of its past. */
function fromFile(file: string, firstPast: number): Forecaster {
  let forecasts: Record<string, number[][][]>;
  try {
    forecasts = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new BallastError("BENCH_DATA", `${file} cannot be read as forecasts`, { cause });
  }
  return (series, past, horizon) => {
    const window = (past.length - firstPast) / horizon;
    const quantiles = forecasts[series]?.[window];
    if (quantiles === undefined) throw new BallastError("BENCH_DATA", `${file} has no window ${window} of ${series}`);
    return quantiles.map((q) => Float64Array.from(q));
  };
}

function table(rows: readonly Row[]): string {
  const cells = rows.map((r) => [
    r.name,
    r.mase.toFixed(4),
    `${r.interval[0].toFixed(2)} … ${r.interval[1].toFixed(2)}`,
    r.wql.toFixed(5),
    `${(100 * r.coverage).toFixed(0)} %`,
    String(r.rank),
  ]);
  const lines = [["forecast", "MASE", "95 % interval", "wQL", "in 0.1…0.9", "rank"], ...cells];
  const widths = lines[0]!.map((_, k) => Math.max(...lines.map((line) => line[k]!.length)));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, k) => cell.padEnd(widths[k]!))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}
