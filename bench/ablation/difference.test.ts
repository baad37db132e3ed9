import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom } from "../../control/features/seeded-random.ts";
import { compare, type Loss } from "./difference.ts";

const random = new SeededRandom(2);
const losses = (gain: number, count = 400): Loss[] =>
  Array.from({ length: count }, (_, i) => {
    const loss = 5 * Math.exp(0.3 * random.normal());
    const better = loss * (1 - gain) * Math.exp(0.05 * random.normal());
    return { origin: i * 3, quantile: [loss, better], absolute: 100, mase: [loss / 5, better / 5] };
  });

describe("the difference of two forecasts", () => {
  test("is that of their wQL and MASE, with an interval around it", () => {
    const { wql, mase, wqlPercent, wqlInterval, maseDifference, maseInterval } = compare(losses(0.2), 24);
    assert.ok(Math.abs(wql[1] / wql[0] - 0.8) < 0.02 && Math.abs(mase[1] / mase[0] - 0.8) < 0.02);
    assert.ok(wqlInterval[0] < wqlPercent && wqlPercent < wqlInterval[1] && wqlInterval[1] < -15);
    assert.ok(maseInterval[0] < maseDifference && maseDifference < maseInterval[1] && maseInterval[1] < 0);
  });

  test("of two that err alike has nought within its interval", () => {
    const { wqlInterval } = compare(losses(0), 24);
    assert.ok(wqlInterval[0] < 0 && wqlInterval[1] > 0, `${wqlInterval}`);
  });

  test("is refused where a single block is all there is", () => {
    assert.throws(() => compare(losses(0, 5), 1_000), /nothing can be drawn/);
  });
});
