import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { BallastError } from "../../common/errors.ts";
import { COMBINATION, holdContest, MIXTURE, MODEL } from "../../control/forecast/series/contest.ts";
import { SeriesModel } from "../../control/forecast/series/series-model.ts";
import { type PipelineChoice, trainSeries } from "../../models/series/train-series.ts";
import { BACKTEST_EFFORT } from "../../models/series/training-spec.ts";
import { ROOT } from "../lib/native-build.ts";
import { GIFT_EVAL_LEVELS } from "./metrics.ts";
import { HORIZON_MINUTES, type SuiteTask } from "./suite-data.ts";

/** The mixture whose shares were fixed per series without a look at the test windows: see `holdContest`. */
const ANSWER = "answer";
/** How much worse than seasonal naive the answer may be on one series. */
const WORST_RATIO = 1.05;

/** Scores of one task: MASE and wQL per candidate. */
export interface SuiteScore {
  task: string;
  horizonMinutes: number;
  /** The largest share of the mixture that answered. */
  led: string;
  scores: Map<string, { mase: number; wql: number }>;
}

/** Mean over the tasks, and whether the answer is better than every baseline. */
export interface SuiteSummary {
  table: string;
  /** Of the means: the answer beats every baseline on both scores. */
  beatsBaselines: boolean;
  /** Largest ratio of the answer's to seasonal naive's MASE or wQL on one series. */
  worstRatio: number;
  worstTask: string;
  noneMuchWorse: boolean;
  mase: number;
  wql: number;
}

export const modelFolder = (base: string, { group, horizonMinutes }: SuiteTask): string =>
  join(base, `${group}-${horizonMinutes}`);

/** Trains one model per group and horizon on what lies before the first test window of each of its series. */
export async function trainSuite(
  tasks: readonly SuiteTask[],
  options: { outDir: string; pipeline: PipelineChoice; progress: (text: string) => void },
): Promise<void> {
  for (const [folder, group] of Map.groupBy(tasks, (one) => modelFolder(options.outDir, one))) {
    const { season, horizon } = group[0]!;
    options.progress(`training ${folder}`);
    await mkdir(folder, { recursive: true });
    await trainSeries({
      shape: { season, horizon },
      levels: GIFT_EVAL_LEVELS,
      series: group.map(({ name, values, windows }) => ({
        name,
        values: values.slice(0, values.length - windows * horizon),
      })),
      outDir: folder,
      workDir: join(ROOT, ".ballast/train-suite", `${group[0]!.group}-${group[0]!.horizonMinutes}`),
      venvDir: join(ROOT, ".ballast/venv"),
      pipeline: options.pipeline,
      seed: 1,
      effort: { ...BACKTEST_EFFORT, maxRounds: 60 },
      // As many origins in all, however many series share them.
      examples: { copies: Math.max(1, Math.round(8 / group.length)), originsPerCopy: 800 },
      progress: options.progress,
    }).catch((error: unknown) => {
      // The combination answers where the gate refuses a model.
      if (!(error instanceof BallastError) || error.code !== "TRAIN_NOT_BETTER") throw error;
      options.progress(error.message);
    });
  }
}

/** Scores every candidate on every task. `models` is a folder made by `trainSuite`; one that is absent there has no model row. */
export async function scoreSuite(tasks: readonly SuiteTask[], models: string): Promise<SuiteScore[]> {
  const scored: SuiteScore[] = [];
  for (const task of tasks) {
    const model = await SeriesModel.open(modelFolder(models, task)).catch(() => null);
    try {
      const { rows, answered, shares } = await holdContest(task.values, {
        ...task,
        levels: GIFT_EVAL_LEVELS,
        model,
        learns: false,
      });
      const scores = new Map(rows.map(({ name, mase, wql }) => [name, { mase, wql }]));
      scores.set(ANSWER, scores.get(answered)!);
      // Without a model the anchor is what a series forecast says.
      if (model === null) scores.set(MODEL, scores.get(COMBINATION)!);
      scored.push({ task: task.name, horizonMinutes: task.horizonMinutes, led: ledBy(shares), scores });
    } finally {
      model?.close();
    }
  }
  return scored;
}

function ledBy(shares: ReadonlyMap<string, number>): string {
  const [name, share] = [...shares].reduce((most, one) => (one[1] > most[1] ? one : most));
  return `${name} ${(100 * share).toFixed(0)} %`;
}

export function summarise(scored: readonly SuiteScore[]): SuiteSummary {
  const names = [...scored[0]!.scores.keys()].filter((name) => scored.every((one) => one.scores.has(name)));
  const mean = (name: string, score: "mase" | "wql", of = scored) =>
    of.reduce((sum, one) => sum + one.scores.get(name)![score], 0) / of.length;
  const rows = names
    .filter((name) => name !== MIXTURE)
    .map((name) => ({ name, mase: mean(name, "mase"), wql: mean(name, "wql") }))
    .sort((a, b) => a.mase - b.mase);
  const answer = rows.find(({ name }) => name === ANSWER)!;
  const baselines = rows.filter(({ name }) => ![ANSWER, MODEL, COMBINATION, MIXTURE].includes(name));
  const ratios = scored.map(({ task, horizonMinutes, scores }) => {
    const [own, naive] = [scores.get(ANSWER)!, scores.get("seasonal naive")!];
    return { task: `${task} ${horizonMinutes} min`, ratio: Math.max(own.mase / naive.mase, own.wql / naive.wql) };
  });
  const worst = ratios.reduce((most, one) => (one.ratio > most.ratio ? one : most));
  const lines = [
    ["forecast", "MASE", "wQL", ...HORIZON_MINUTES.flatMap((m) => [`MASE ${m} min`, `wQL ${m} min`])],
    ...rows.map(({ name, mase, wql }) => [
      name,
      mase.toFixed(4),
      wql.toFixed(4),
      ...HORIZON_MINUTES.flatMap((minutes) => {
        const of = scored.filter((one) => one.horizonMinutes === minutes);
        return of.length === 0 ? ["", ""] : [mean(name, "mase", of).toFixed(4), mean(name, "wql", of).toFixed(4)];
      }),
    ]),
  ];
  return {
    table: `${aligned(lines)}\n${aligned([["series", "min", "answer led by", "MASE", "wQL", "model", "seasonal naive"], ...perTask(scored)])}`,
    beatsBaselines: baselines.every(({ mase, wql }) => answer.mase < mase && answer.wql < wql),
    worstRatio: worst.ratio,
    worstTask: worst.task,
    noneMuchWorse: worst.ratio <= WORST_RATIO,
    mase: answer.mase,
    wql: answer.wql,
  };
}

function perTask(scored: readonly SuiteScore[]): string[][] {
  return scored.map(({ task, horizonMinutes, led, scores }) => {
    const show = (name: string) => `${scores.get(name)!.mase.toFixed(3)} ${scores.get(name)!.wql.toFixed(3)}`;
    const own = scores.get(ANSWER)!;
    return [
      task,
      String(horizonMinutes),
      led,
      own.mase.toFixed(3),
      own.wql.toFixed(3),
      show(MODEL),
      show("seasonal naive"),
    ];
  });
}

function aligned(lines: readonly (readonly string[])[]): string {
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
