import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../seeded-random.ts";
import { withLevelShifts } from "./augment.ts";
import { Past } from "./past.ts";
import { SeriesFeatureBuilder } from "./series-features.ts";
import {
  CONTEXT_CHANNELS,
  lagOf,
  minPastSteps,
  SEQUENCE_CHANNELS,
  SERIES_FEATURES,
  seriesSchemaHash,
  spansOf,
} from "./shape.ts";
import {
  DEFAULT_EXAMPLES,
  findLeak,
  type InputSource,
  inputSource,
  SPLITS,
  splitSpans,
  trainingExamples,
} from "./training-examples.ts";

const shape = { season: 24, horizon: 12 };

/** A day's rhythm with noise: 100 ± 30, noise 2. */
function daily(steps: number, seed = 1): Float64Array {
  const random = new SeededRandom(seed);
  return Float64Array.from(
    { length: steps },
    (_, t) => 100 + 30 * Math.sin((2 * Math.PI * t) / 24) + 2 * random.normal(),
  );
}

const shapes = fc.record({ season: fc.integer({ min: 1, max: 60 }), horizon: fc.integer({ min: 1, max: 40 }) });

describe("inputs at an origin", () => {
  test("are the same whatever comes at and after the origin", () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 0, max: 200 }), fc.integer(), (shape, extra, seed) => {
        const random = new SeededRandom(seed);
        const origin = minPastSteps(shape) + extra;
        const values = Float64Array.from({ length: origin + shape.horizon }, () => random.uniform(0, 50));
        const other = values.map((value, t) => (t < origin ? value : -1e6 * (t + 1)));
        const builder = new SeriesFeatureBuilder(shape);
        assert.deepEqual(
          builder.at(new Past(values, shape.season), origin),
          builder.at(new Past(other.subarray(0, origin), shape.season), origin),
        );
      }),
      { numRuns: 60 },
    );
  });

  test("do not depend on the unit of the series", () => {
    const values = daily(400);
    const builder = new SeriesFeatureBuilder(shape);
    const a = builder.at(new Past(values, 24), 400);
    const b = builder.at(
      new Past(
        values.map((v) => 1024 * v),
        24,
      ),
      400,
    );
    for (const part of ["features", "sequence", "context", "seasonalNaive"] as const)
      a[part].forEach((value, i) => {
        assert.ok(Math.abs(value - b[part][i]!) < 1e-4, `${part}[${i}]`);
      });
    assert.ok(Math.abs(b.scale / a.scale - 1024) < 1e-6);
  });

  test("are finite and of the named sizes, also for constant, zero and damaged series", () => {
    fc.assert(
      fc.property(
        shapes,
        fc.array(fc.oneof(fc.double({ noNaN: false }), fc.constant(0)), { minLength: 1, maxLength: 30 }),
        (shape, pattern) => {
          const origin = minPastSteps(shape) + 3;
          const values = Float64Array.from({ length: origin }, (_, t) => pattern[t % pattern.length]!).map((v) =>
            Math.abs(v) > 1e100 ? 0 : v,
          );
          const inputs = new SeriesFeatureBuilder(shape).at(new Past(values, shape.season), origin);
          assert.equal(inputs.features.length, shape.horizon * SERIES_FEATURES.length);
          assert.equal(inputs.sequence.length, spansOf(shape).near * SEQUENCE_CHANNELS.length);
          assert.equal(inputs.context.length, shape.horizon * CONTEXT_CHANNELS.length);
          for (const part of ["features", "sequence", "context", "anchor"] as const)
            assert.ok(inputs[part].every(Number.isFinite), part);
          assert.ok(inputs.scale > 0);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("the anchor of a pure rhythm is its continuation, and the seasonal naive is the season before", () => {
    const values = Float64Array.from({ length: 300 }, (_, t) => 50 + 20 * Math.sin((2 * Math.PI * t) / 24));
    const { anchor, scale, seasonalNaive } = new SeriesFeatureBuilder(shape).at(new Past(values, 24), 288);
    for (let h = 0; h < 12; h++) {
      assert.ok(Math.abs(anchor[h]! - values[288 + h]!) < 1e-6);
      assert.ok(Math.abs(anchor[h]! + seasonalNaive[h]! * scale - values[264 + h]!) < 1e-4);
    }
  });

  test("an origin without enough past is refused", () => {
    const past = new Past(daily(400), 24);
    const builder = new SeriesFeatureBuilder(shape);
    assert.throws(() => builder.at(past, builder.minPast - 1), /outside of/);
    assert.throws(() => builder.at(past, 401), /outside of/);
  });
});

describe("a shape", () => {
  test("looks back at least one horizon and by whole seasons", () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 1, max: 20 }), (shape, k) => {
        assert.ok(lagOf(shape, k) >= shape.horizon);
        assert.equal(lagOf(shape, k) % shape.season, 0);
        assert.ok(lagOf(shape, k + 1) > lagOf(shape, k));
      }),
    );
  });

  test("has a schema hash of its own", () => {
    assert.notEqual(seriesSchemaHash(shape), seriesSchemaHash({ ...shape, horizon: 13 }));
    assert.equal(seriesSchemaHash(shape), seriesSchemaHash({ ...shape }));
  });
});

describe("training examples", () => {
  const series = { name: "s", values: daily(1_500) };
  const spans = splitSpans(shape, series.values.length)!;
  const options = { ...DEFAULT_EXAMPLES, copies: 2, originsPerCopy: 40, originsPerHeldOut: 30 };
  const all = () => [...trainingExamples(shape, series, spans, options)];

  test("lie inside of their split with their whole horizon, and splits follow each other in time", () => {
    const examples = all();
    for (const split of SPLITS) {
      const own = examples.filter((example) => example.split === split);
      assert.ok(own.length >= 30, split);
      for (const { origin } of own)
        assert.ok(origin >= spans[split][0] && origin + shape.horizon <= spans[split][1], `${split} ${origin}`);
    }
    assert.ok(spans.train[1] <= spans.eval[0] && spans.eval[1] <= spans.gate[0]);
  });

  test("are the same for the same seed and others for another", () => {
    assert.deepEqual(all(), all());
    const other = [...trainingExamples(shape, series, spans, { ...options, seed: 2 })];
    assert.notDeepEqual(
      all().map((e) => e.origin),
      other.map((e) => e.origin),
    );
  });

  test("one horizon step is drawn from each equal part", () => {
    for (const { steps } of all()) {
      assert.equal(steps.length, 8);
      assert.ok(steps.every((step, i) => step >= 0 && step < 12 && (i === 0 || step > steps[i - 1]!)));
    }
  });

  test("a witness, from a series with another future, has the same inputs", () => {
    const witnessed = all().filter((example) => example.witness !== undefined);
    assert.ok(new Set(witnessed.map(({ split }) => split)).size === 2);
    for (const { inputs, witness } of witnessed) assert.deepEqual(witness, inputs);
  });

  test("steps without a reading are never a target", () => {
    const values = series.values.map((value, t) => (t % 50 === 0 ? Number.NaN : value));
    for (const example of trainingExamples(shape, { name: "s", values }, spans, options))
      assert.ok(example.target.every(Number.isFinite));
  });

  test("a series that is too short has no splits", () => {
    assert.equal(splitSpans(shape, 90), null);
  });

  test("shifts raise and lower the level of a copy, leave the original alone and keep a series at nought there", () => {
    const before = series.values.slice();
    const copy = withLevelShifts(series.values, new SeededRandom(3));
    assert.deepEqual(series.values, before);
    const ratios = copy.map((value, t) => value / before[t]!);
    assert.ok(Math.max(...ratios) > 1.01 || Math.min(...ratios) < 0.99);
    assert.ok(withLevelShifts(new Float64Array(500), new SeededRandom(3)).every((value) => value === 0));
  });
});

describe("a leak", () => {
  const series = { name: "s", values: daily(1_500) };
  const spans = splitSpans(shape, series.values.length)!;
  const sound = inputSource(shape);

  test("is not found in the builder", () => {
    assert.equal(findLeak(shape, series, spans), null);
  });

  test("is looked for in a series of any length", () => {
    const long = { name: "s", values: Float64Array.from({ length: 300_000 }, (_, t) => 50 + 9 * Math.sin(t / 4)) };
    assert.equal(findLeak(shape, long, splitSpans(shape, long.values.length)!), null);
  });

  test("is found when a future value is a feature", () => {
    const leaking: InputSource = {
      prepare: (values, fitTo, about) => {
        const inner = sound.prepare(values, fitTo, about);
        return {
          at: (origin) => {
            const inputs = inner.at(origin);
            inputs.features[9] = values[Math.min(origin + 3, values.length - 1)]!;
            return inputs;
          },
        };
      },
    };
    assert.match(findLeak(shape, series, spans, leaking)!, /feature move of s at step/);
  });

  test("is found when a scaler is fitted on the whole series", () => {
    const leaking: InputSource = {
      prepare: (values, fitTo, about) => {
        const inner = sound.prepare(values, fitTo, about);
        const scaler = values.reduce((sum, value) => sum + value, 0) / values.length;
        return { at: (origin) => ({ ...inner.at(origin), scale: scaler }) };
      },
    };
    assert.match(findLeak(shape, series, spans, leaking)!, /scale of s at step/);
  });

  test("is not found when a scaler is fitted on the training span", () => {
    const fitted: InputSource = {
      prepare: (values, fitTo, about) => {
        const inner = sound.prepare(values, fitTo, about);
        return {
          at: (origin) => {
            const span = values.subarray(0, fitTo);
            const scale = span.reduce((sum, value) => sum + value, 0) / span.length;
            return { ...inner.at(origin), scale };
          },
        };
      },
    };
    assert.equal(findLeak(shape, series, spans, fitted), null);
  });
});
