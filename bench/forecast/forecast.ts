import { rm } from "node:fs/promises";
import { join } from "node:path";
import { BallastError } from "../../common/errors.ts";
import { BASELINES } from "../../control/forecast/baselines/all.ts";
import { baselineQuantiles } from "../../control/forecast/baselines/quantiles.ts";
import { bankQuantiles } from "../../control/forecast/series/bank-forecast.ts";
import { bootstrapInterval } from "../../control/forecast/series/bootstrap.ts";
import { naive, seasonalNaive } from "../../control/forecast/series/naive.ts";
import { ROOT } from "../lib/native-build.ts";
import { writeResults } from "../lib/results.ts";
import type { BenchOptions } from "../main.ts";
import { loadPublished, loadWindows, type PublishedRow, rankOf, score, TASK } from "./gift-eval.ts";
import { coverage, GIFT_EVAL_LEVELS, mase, type Scored, weightedQuantileLoss } from "./metrics.ts";
import { COMMITTED, scoreModel, trainRobotShop, WORK } from "./robot-shop-model.ts";
import { type SuiteSummary, scoreSuite, summarise, trainSuite } from "./suite.ts";
import { loadSuite } from "./suite-data.ts";

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
 * trains it anew from the span before the test windows, and models for the suite of request series (their tree halves) from the spans
 * before theirs, and all are scored. A word names another model folder for the Robot-Shop task, and leaves the rest out.
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
  const shape = { season: TASK.season, horizon: TASK.horizon, levels: GIFT_EVAL_LEVELS };
  for (const baseline of BASELINES.filter(({ name }) => !rows.some((row) => row.name === name)))
    rows.push(
      judgeRow(
        baseline.name,
        score(windows, (_series, past) => baselineQuantiles(baseline, past, shape)!),
        published,
      ),
    );
  rows.push(
    judgeRow(
      "combination",
      score(windows, (_series, past) => bankQuantiles(past, shape)!),
      published,
    ),
  );
  const model = judgeRow("model", await scoreModel(windows, words[0] ?? COMMITTED), published);
  rows.push(model);
  const whole = words.length === 0;
  const progress = (text: string) => void process.stderr.write(`${text}\n`);
  if (!quick && whole) {
    const outDir = join(ROOT, ".ballast/model/robot-shop");
    // Anew is without a model in use that it would have to beat.
    for (const folder of [WORK, outDir]) await rm(folder, { recursive: true, force: true });
    await trainRobotShop(windows, { outDir, pipeline: "auto", seed: 1, progress });
    rows.push(judgeRow("model, trained anew", await scoreModel(windows, outDir), published));
  }
  const counts = `${windows.length / TASK.series.length} windows × ${TASK.series.length} series, ${published.length} published rows`;
  const sections = [`${TASK.name}: ${counts}`, `${table(rows)}\n${peers(published)}`];
  process.stdout.write(`${sections.join("\n\n")}\n`);
  let suite: SuiteSummary | null = null;
  if (!quick && whole) {
    const tasks = loadSuite();
    const models = join(ROOT, ".ballast/model/suite");
    await trainSuite(tasks, { outDir: models, pipeline: "trees", progress });
    suite = summarise(await scoreSuite(tasks, models));
    sections.push(`requests of NAB, Nezha and World Cup 98, ${tasks.length} tasks`, suite.table, verdict(suite));
    process.stdout.write(`${sections.slice(2).join("\n\n")}\n\n`);
    await writeResults("forecast", resultsOf(sections));
  }
  return {
    naive_mase: rows[0]!.mase,
    seasonal_naive_mase: rows[1]!.mase,
    mase: model.mase,
    mase_ci: model.interval,
    wql: model.wql,
    rank: model.rank,
    of: published.length,
    ...(suite === null
      ? {}
      : {
          suite: {
            mase: suite.mase,
            wql: suite.wql,
            beats_baselines: suite.beatsBaselines,
            worst_ratio: suite.worstRatio,
            worst: suite.worstTask,
          },
        }),
  };
}

/** Tables as blocks, sentences as they are. */
export function resultsOf(sections: readonly string[]): string {
  return sections.map((text) => (text.includes("\n") ? `\`\`\`text\n${text.trimEnd()}\n\`\`\`` : text)).join("\n\n");
}

export function verdict({ beatsBaselines, worstRatio, worstTask, noneMuchWorse }: SuiteSummary): string {
  const mean = beatsBaselines ? "better than every baseline" : "not better than every baseline";
  return `In the mean the answer is ${mean} on MASE and wQL; worst against seasonal naive: ${worstRatio.toFixed(3)} on ${worstTask}${noneMuchWorse ? "" : ", over 1.05"}.`;
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
