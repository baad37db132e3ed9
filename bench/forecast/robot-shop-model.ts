import { join } from "node:path";
import type { TrainingSeries } from "../../control/features/series/training-examples.ts";
import { seasonalScale } from "../../control/forecast/scores/metrics.ts";
import { SeriesModel } from "../../control/forecast/series/series-model.ts";
import { type PipelineChoice, type TrainedSeries, trainSeries } from "../../models/series/train-series.ts";
import { ROOT } from "../lib/native-build.ts";
import { TASK, type TestWindow } from "./gift-eval.ts";
import { GIFT_EVAL_LEVELS, type Scored } from "./metrics.ts";

/** The committed model of the task: trained by the pipeline on what lies before the first test window. */
export const COMMITTED = join(ROOT, "models/committed/robot-shop");

/** Where training leaves its files; one that was interrupted goes on from them. */
export const WORK = join(ROOT, ".ballast/train-robot-shop");
const SHAPE = { season: TASK.season, horizon: TASK.horizon };
/** Of the task's series. The model looks ten minutes ahead; plans need an hour, so no server lets it steer. */
const STEP_MS = 10_000;

/** What may be learnt from: of each series the steps before the first test window, and nothing else. */
export function trainingSpan(windows: readonly TestWindow[]): TrainingSeries[] {
  return windows
    .filter(({ window }) => window === 0)
    .map(({ series, past }) => ({ name: series, values: past.slice() }));
}

export async function trainRobotShop(
  windows: readonly TestWindow[],
  options: { outDir: string; pipeline: PipelineChoice; seed: number; progress: (text: string) => void },
): Promise<TrainedSeries> {
  return await trainSeries({
    shape: SHAPE,
    levels: GIFT_EVAL_LEVELS,
    stepMs: STEP_MS,
    series: trainingSpan(windows),
    workDir: WORK,
    venvDir: join(ROOT, ".ballast/venv"),
    ...options,
  });
}

/** Scores a model folder in the engine and the code that serve it; each window is answered from a copy of its past alone. */
export async function scoreModel(windows: readonly TestWindow[], folder: string): Promise<Scored[]> {
  const model = await SeriesModel.open(folder);
  try {
    const scored: Scored[] = [];
    for (const { series, window, past, actual } of windows) {
      const [quantiles] = await model.forecast([{ values: past.slice() }]);
      scored.push({ series, window, actual, quantiles: quantiles!, scale: seasonalScale(past, TASK.season) });
    }
    return scored;
  } finally {
    model.close();
  }
}
