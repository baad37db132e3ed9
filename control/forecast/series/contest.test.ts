import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom } from "../../features/seeded-random.ts";
import { bankQuantiles, leastPast } from "./bank-forecast.ts";
import { choiceWindows } from "./choose-forecaster.ts";
import { COMBINATION, type Contest, holdContest, MIXTURE } from "./contest.ts";
import type { SeriesModel } from "./series-model.ts";

const levels = [0.1, 0.5, 0.9];
const shape = { season: 24, horizon: 12, levels };
const random = new SeededRandom(3);
const rhythm = (t: number) => 100 + 30 * Math.sin((2 * Math.PI * t) / 24);
const of = (steps: number, value: (t: number) => number) => Float64Array.from({ length: steps }, (_, t) => value(t));

describe("the shares of the mixture", () => {
  test("come from windows within their span only, each with enough past", () => {
    const history = of(300, rhythm);
    const windows = choiceWindows(history, 12, 60, 100);
    assert.equal(windows[0]!.past.length, 240);
    assert.equal(windows.at(-1)!.past.length, 288);
    assert.ok(windows.every(({ past, actual }) => actual.length === 12 && actual[0] === history[past.length]));
    assert.deepEqual(choiceWindows(history, 12, 60, 290), []);
  });

  test("know nothing of the test windows where they do not learn, and else only of those that are over", async () => {
    const values = of(500, (t) => rhythm(t) + 4 * random.normal());
    const options = { ...shape, windows: 4, model: null };
    const said = ({ rows }: Contest, window: number) => rows.find(({ name }) => name === MIXTURE)!.forecasts[window];
    const fixed = { ...options, learns: false };
    const [one, three] = [await holdContest(values, options), await holdContest(values, fixed)];
    for (const over of [0, 2]) {
      const other = values.map((value, t) => (t < 500 - (4 - over) * 12 ? value : 1e6 * (t % 7)));
      const [two, four] = [await holdContest(other, options), await holdContest(other, fixed)];
      for (let window = 0; window <= over; window++) assert.deepEqual(said(one, window), said(two, window));
      assert.notDeepEqual(one.shares, two.shares);
      assert.deepEqual(three.shares, four.shares);
      assert.notDeepEqual(three.rows[0]!.mase, four.rows[0]!.mase);
    }
  });

  test("give a model none before it was seen to be right, three windows of the test where nothing else tells", async () => {
    // 8 % of 130 steps are less than a horizon, so nothing before the test shows what this clairvoyant is worth.
    const values = of(130 + 6 * 12, (t) => rhythm(t) + 15 * random.normal());
    const clairvoyant = {
      minPastSteps: 25,
      forecast: async ([{ values: past }]: [{ values: Float64Array }]) => [
        levels.map(() => values.slice(past.length, past.length + 12)),
      ],
    } as unknown as SeriesModel;
    const ask = (model: SeriesModel | null) => holdContest(values, { ...shape, windows: 6, model });
    const [without, given] = [await ask(null), await ask(clairvoyant)];
    const said = ({ rows }: Contest) => rows.find(({ name }) => name === MIXTURE)!;
    for (const window of [0, 1, 2]) assert.deepEqual(said(given).forecasts[window], said(without).forecasts[window]);
    for (const window of [3, 4, 5])
      assert.ok(said(given).single[window]!.mase < 0.05 * said(without).single[window]!.mase);
    assert.ok(Math.abs(given.shares.get("model")! - 0.5) < 0.01);
  });

  test("follow a jump that came shortly before the test, and a history too short to choose on", async () => {
    const ratio = async (values: Float64Array, windows: number, learns: boolean) => {
      const { rows } = await holdContest(values, { ...shape, windows, model: null, learns });
      const mase = (wanted: string) => rows.find(({ name }) => name === wanted)!.mase;
      return mase(MIXTURE) / mase("seasonal naive");
    };
    const jumped = of(600, (t) => rhythm(t) + (t < 476 ? 0 : -60) + 4 * random.normal());
    assert.ok((await ratio(jumped, 8, true)) < 0.8 * (await ratio(jumped, 8, false)));
    const short = of(40 + 24 * 12, (t) => rhythm(t) + 4 * random.normal());
    assert.ok((await ratio(short, 24, true)) < 0.9 * (await ratio(short, 24, false)));
  });
});

describe("the answer on series of every shape", () => {
  const walk = of(500, () => 0);
  for (let t = 1; t < 500; t++) walk[t] = walk[t - 1]! + random.normal();
  const shapes: Record<string, Float64Array> = {
    rhythm: of(500, (t) => rhythm(t) + 4 * random.normal()),
    trend: of(500, (t) => rhythm(t) + t + 4 * random.normal()),
    level: of(500, (t) => rhythm(t) + (t > 350 ? 200 : 0) + 4 * random.normal()),
    growth: of(500, (t) => Math.exp(t / 80) * rhythm(t)),
    noise: of(500, () => 10 + random.normal()),
    negative: of(500, (t) => -rhythm(t) + 4 * random.normal()),
    walk,
    zeros: of(500, () => 0),
    constant: of(500, () => 5),
    "no more rhythm": of(500, (t) => (t < 300 ? rhythm(t) : 100)),
    gaps: of(500, (t) => (t % 9 === 0 || (t > 200 && t < 240) ? Number.NaN : rhythm(t) + 4 * random.normal())),
    "gap at the end": of(500, (t) => (t > 460 ? Number.NaN : rhythm(t))),
  };
  for (const [name, values] of Object.entries(shapes))
    test(`${name}: is finite, ordered, and not much worse than seasonal naive`, async () => {
      const { rows, answered } = await holdContest(values, { ...shape, windows: 4, model: null });
      const [answer, naive] = [answered, "seasonal naive"].map((one) => rows.find((row) => row.name === one)!);
      for (const window of answer!.forecasts)
        for (let h = 0; h < 12; h++) {
          assert.ok(window.every((level) => Number.isFinite(level[h]!)));
          assert.ok(window[0]![h]! <= window[1]![h]! && window[1]![h]! <= window[2]![h]!);
        }
      assert.ok(answer!.mase <= 1.05 * naive!.mase + 1e-9, `${answered}: ${answer!.mase} against ${naive!.mase}`);
    });

  test("is made of what can answer where the past is too short for the combination", async () => {
    const values = of(40, (t) => rhythm(t));
    const { rows, answered } = await holdContest(values, { ...shape, windows: 1, model: null });
    assert.ok(rows.every(({ name }) => name !== COMBINATION));
    assert.ok(rows.some(({ name }) => name === answered));
  });

  test("needs no window before the test, whatever can answer later", async () => {
    // Three seasons lie before the later windows only, none with its horizon before the first.
    for (const [steps, season, horizon, windows] of [
      [124, 24, 12, 8],
      [34, 7, 5, 5],
      [143, 50, 12, 7],
      [56, 24, 5, 6],
    ] as const) {
      const values = of(steps, (t) => rhythm(t) + 4 * random.normal());
      const { rows } = await holdContest(values, { season, horizon, levels, windows, model: null });
      assert.ok(rows.every(({ mase }) => Number.isFinite(mase)));
    }
  });

  test("does not run away where a load begins after long silence", async () => {
    // Of a hundred such draws the one in which the exponential of a trend from near nought had no bound.
    const load =
      "55 14 84 14 81 6 95 23 72 12 51 48 79 40 57 54 91 46 30 50 77 45 58 59 60 74 84 75 69 82 39 41 11 100 16 24 60 19 9 10 72 81 31 16 17 24 19 7 84 95 68 60".split(
        " ",
      );
    const values = Float64Array.from([...new Array(52).fill(0), ...load.map(Number)]);
    const { rows } = await holdContest(values, { season: 12, horizon: 5, levels, windows: 2, model: null });
    for (const { name, forecasts } of rows)
      for (const row of forecasts.flat())
        assert.ok(
          row.every((value) => Math.abs(value) < 600),
          name,
        );
  });

  test("covers what its levels say", () => {
    const values = of(1_500, (t) => rhythm(t) + 10 * random.normal());
    let inside = 0;
    let steps = 0;
    for (let origin = 1_000; origin + 12 <= 1_500; origin += 12) {
      const [low, , high] = bankQuantiles(values.subarray(0, origin), shape)!;
      for (let h = 0; h < 12; h++, steps++)
        if (values[origin + h]! >= low![h]! && values[origin + h]! <= high![h]!) inside++;
    }
    assert.ok(Math.abs(inside / steps - 0.8) < 0.06, `${inside} of ${steps}`);
    assert.equal(bankQuantiles(values.subarray(0, leastPast(shape) - 1), shape), null);
  });
});
