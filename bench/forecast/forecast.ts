import { rm } from "node:fs/promises";
import { join } from "node:path";
import { BallastError } from "../../common/errors.ts";
import { bootstrapInterval } from "../../control/forecast/series/bootstrap.ts";
import { naive, seasonalNaive } from "../../control/forecast/series/naive.ts";
import { ROOT } from "../lib/native-build.ts";
import { writeResults } from "../lib/results.ts";
import type { BenchOptions } from "../main.ts";
import { loadPublished, loadWindows, type PublishedRow, rankOf, score, TASK } from "./gift-eval.ts";
import { coverage, GIFT_EVAL_LEVELS, mase, type Scored, weightedQuantileLoss } from "./metrics.ts";
import { COMMITTED, scoreModel, trainRobotShop, WORK } from "./robot-shop-model.ts";

/** What GIFT-Eval publishes for the two baselines; a scorer that does not give these is wrong, so the run ends there. */
const ANCHORS = { naive: 3.763642, seasonalNaive: 2.24233 };
/** Published rows shown beside ours, where they are in the file. */
const SHOWN = ["TiRex-2-Pretrained", "chronos-2", "TimesFM-2.5", "auto_theta", "PatchTST", "DeepAR"];

interface Row {
  name: string;
  mase: number;
  interval: [number, number];
  wql: number;
  coverage: number;
  rank: number;
}

/**
 * Scores the committed model on the Robot-Shop task of GIFT-Eval and ranks it among the published rows. Without --quick the pipeline
 * first trains the model anew from the span before the test windows, and both are scored. A word names another model folder.
 */
export async function run({ quick, words }: BenchOptions): Promise<object> {
  const windows = loadWindows();
  const published = loadPublished();
  const rows = [
    judgeRow(
      "naive",
      score(windows, (_series, past, horizon) => naive(past, horizon, GIFT_EVAL_LEVELS)),
      published,
    ),
    judgeRow(
      "seasonal naive",
      score(windows, (_series, past, horizon) => seasonalNaive(past, horizon, GIFT_EVAL_LEVELS, TASK.season)),
      published,
    ),
  ];
  checkAnchors(rows[0]!.mase, rows[1]!.mase);
  const model = judgeRow("model", await scoreModel(windows, words[0] ?? COMMITTED), published);
  rows.push(model);
  if (!quick && words.length === 0) {
    const outDir = join(ROOT, ".ballast/model/robot-shop");
    await rm(WORK, { recursive: true, force: true });
    const progress = (text: string) => void process.stderr.write(`${text}\n`);
    await trainRobotShop(windows, { outDir, pipeline: "auto", seed: 1, progress });
    rows.push(judgeRow("model, trained anew", await scoreModel(windows, outDir), published));
  }
  const counts = `${windows.length / TASK.series.length} windows × ${TASK.series.length} series, ${published.length} published rows`;
  process.stdout.write(`${TASK.name}: ${counts}\n\n${table(rows)}\n${peers(published)}\n`);
  if (!quick && words.length === 0)
    await writeResults("forecast", `${TASK.name}, ${counts}.\n\n\`\`\`text\n${table(rows)}\n${peers(published)}\`\`\``);
  return {
    naive_mase: rows[0]!.mase,
    seasonal_naive_mase: rows[1]!.mase,
    mase: model.mase,
    mase_ci: model.interval,
    wql: model.wql,
    rank: model.rank,
    of: published.length,
  };
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

function table(rows: readonly Row[]): string {
  const cells = rows.map((r) => [
    r.name,
    r.mase.toFixed(4),
    `${r.interval[0].toFixed(2)} … ${r.interval[1].toFixed(2)}`,
    r.wql.toFixed(5),
    `${(100 * r.coverage).toFixed(0)} %`,
    String(r.rank),
  ]);
  return aligned([["forecast", "MASE", "95 % interval", "wQL", "in 0.1…0.9", "rank"], ...cells]);
}

function peers(published: readonly PublishedRow[]): string {
  const shown = published.filter(({ model }) => SHOWN.includes(model)).sort((a, b) => a.mase - b.mase);
  const cells = shown.map(({ model, mase, wql }) => [model, mase.toFixed(4), wql.toFixed(5)]);
  return aligned([["published", "MASE", "wQL"], ...cells]);
}

function aligned(lines: readonly (readonly string[])[]): string {
  const widths = lines[0]!.map((_, k) => Math.max(...lines.map((line) => line[k]!.length)));
  const padded = lines.map((line) => line.map((cell, k) => cell.padEnd(widths[k]!)).join("  "));
  return padded.map((line) => `${line.trimEnd()}\n`).join("");
}
