import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BASELINES } from "../../control/forecast/baselines/all.ts";
import { holdContest, MIXTURE } from "../../control/forecast/series/contest.ts";
import { GIFT_EVAL_LEVELS } from "./metrics.ts";
import { shapes } from "./shapes.ts";

/** Steps times windows that the gate has time for; BALLAST_SHAPES=all takes them all. */
const MOST_WORK = 4_000;
const all = process.env.BALLAST_SHAPES === "all";
const taken = shapes(11).filter(({ values, windows }) => all || values.length * windows <= MOST_WORK);

describe("series of every shape, none of which anything was tuned on", () => {
  const ratios: number[] = [];
  for (const { name, values, ...asked } of taken)
    test(`${name}: finite, in order, and hardly ever worse than seasonal naive`, async () => {
      const { rows } = await holdContest(values, { ...asked, levels: GIFT_EVAL_LEVELS, model: null });
      const of = (row: string) => rows.find((one) => one.name === row)!;
      const answer = of(MIXTURE);
      for (const window of answer.forecasts)
        for (let h = 0; h < asked.horizon; h++)
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
