import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { BallastError } from "../../common/errors.ts";
import { BASELINES } from "../../control/forecast/baselines/all.ts";
import { type Contest, holdContest, MIXTURE } from "../../control/forecast/series/contest.ts";
import { SeriesModel } from "../../control/forecast/series/series-model.ts";
import { trainSeries } from "../../models/series/train-series.ts";
import { BACKTEST_EFFORT } from "../../models/series/training-spec.ts";
import { ROOT } from "../lib/native-build.ts";
import { GIFT_EVAL_LEVELS } from "./metrics.ts";
import { type Shape, shapes } from "./shapes.ts";

/**
 * BALLAST_SHAPES=all takes every shape, =train trains the tree half on each too (ten minutes), as `ballast backtest --train` does. The gate has
 * time for those of so many steps times windows.
 */
const MOST_WORK = 4_000;
const wanted = process.env.BALLAST_SHAPES;
const train = wanted === "train";
const SEED = Number(process.env.BALLAST_SHAPES_SEED ?? 11);
const taken = shapes(SEED).filter(
  ({ values, windows }) => train || wanted === "all" || values.length * windows <= MOST_WORK,
);

describe("series of every shape, none of which anything was tuned on", () => {
  const ratios: number[] = [];
  for (const shape of taken)
    test(`${shape.name}: finite, in order, and hardly ever worse than seasonal naive`, async () => {
      const { rows } = train ? await contestWithModel(shape) : await contestWith(shape, null);
      const of = (row: string) => rows.find((one) => one.name === row)!;
      const answer = of(MIXTURE);
      for (const window of answer.forecasts)
        for (let h = 0; h < shape.horizon; h++)
          for (const [q, level] of window.entries())
            assert.ok(Number.isFinite(level[h]!) && (q === 0 || level[h]! >= window[q - 1]![h]!));
      assert.ok(Number.isFinite(answer.mase) && Number.isFinite(answer.wql));
      assert.ok(answer.mase <= 1.05 * of("seasonal naive").mase + 1e-9);
      const best = Math.min(...BASELINES.flatMap((one) => rows.find((row) => row.name === one.name)?.mase ?? []));
      if (best > 0) ratios.push(answer.mase / best);
    });

  test("in the mean it is as good as the baseline that turns out best, which nobody knows before", () => {
    assert.ok(ratios.length >= 8);
    const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
    assert.ok(mean < 1.05, `${mean}`);
  });
});

function contestWith({ values, season, horizon, windows }: Shape, model: SeriesModel | null): Promise<Contest> {
  return holdContest(values, { season, horizon, windows, levels: GIFT_EVAL_LEVELS, model });
}

async function contestWithModel(shape: Shape): Promise<Contest> {
  const dir = await mkdtemp(join(tmpdir(), "ballast-shapes-"));
  try {
    const { name, values, season, horizon, windows } = shape;
    await trainSeries({
      shape: { season, horizon },
      levels: GIFT_EVAL_LEVELS,
      series: [{ name, values: values.slice(0, values.length - windows * horizon) }],
      outDir: join(dir, "model"),
      workDir: join(dir, "work"),
      venvDir: join(ROOT, ".ballast/venv"),
      pipeline: "trees",
      seed: 1,
      effort: BACKTEST_EFFORT,
      progress: () => {},
    });
    const model = await SeriesModel.open(join(dir, "model"));
    try {
      return await contestWith(shape, model);
    } finally {
      model.close();
    }
  } catch (error) {
    if (!(error instanceof BallastError) || error.code !== "TRAIN_HISTORY_TOO_SHORT") throw error;
    return await contestWith(shape, null);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
