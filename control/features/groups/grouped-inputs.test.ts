import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Past } from "../series/past.ts";
import { SeriesFeatureBuilder } from "../series/series-features.ts";
import { CONTEXT_CHANNELS, SERIES_FEATURES, seriesSchemaHash } from "../series/shape.ts";
import { findLeak } from "../series/training-examples.ts";
import { fitGroups, GroupedInputs, groupColumns, groupedSchemaHash } from "./grouped-inputs.ts";
import { groupedSource } from "./grouped-source.ts";
import { all, fitToMs, START_MS, series, shape, spans, starts, values, wholeWorld } from "./groups.fixture.ts";

describe("inputs with groups", () => {
  test("without a group are, bit for bit, those of the series alone, under the same hash", () => {
    const past = new Past(values, shape.season);
    const plain = new SeriesFeatureBuilder(shape).at(past, 400);
    assert.deepEqual(new GroupedInputs(shape, []).prepare(past, START_MS, "api", wholeWorld()).at(400), plain);
    assert.equal(groupedSchemaHash(shape, []), seriesSchemaHash(shape));
  });

  test("stand behind those of the series, for trees and network, each under one name", () => {
    const fitted = fitGroups(all, wholeWorld(), fitToMs);
    const grouped = new GroupedInputs(shape, fitted);
    const past = new Past(values, shape.season);
    const inputs = grouped.prepare(past, START_MS, "api", wholeWorld()).at(400);
    const plain = new SeriesFeatureBuilder(shape).at(past, 400);
    const [own, width] = [SERIES_FEATURES.length, SERIES_FEATURES.length + grouped.columns.length];
    assert.equal(inputs.features.length, shape.horizon * width);
    assert.equal(inputs.context.length, shape.horizon * (CONTEXT_CHANNELS.length + grouped.columns.length));
    for (let h = 0; h < shape.horizon; h++)
      assert.deepEqual(inputs.features.slice(h * width, h * width + own), plain.features.slice(h * own, (h + 1) * own));
    assert.equal(new Set(grouped.columns.map(({ name }) => name)).size, grouped.columns.length);
    // As JSON, which is how a manifest carries it.
    const restored = new GroupedInputs(shape, JSON.parse(JSON.stringify(fitted)));
    assert.deepEqual(restored.prepare(past, START_MS, "api", wholeWorld()).at(400), inputs);
  });

  test("another group, version or fitted number is another schema", () => {
    const fitted = fitGroups(all, wholeWorld(), fitToMs);
    const hashes = [[], ...all.map((_, i) => fitted.slice(i, i + 1)), fitted].map((some) =>
      groupedSchemaHash(shape, some),
    );
    assert.equal(new Set(hashes).size, hashes.length);
    const changed = structuredClone(fitted);
    (changed[4]!.parameters as { idf: number[] }).idf[0]! += 0.5;
    assert.notEqual(groupedSchemaHash(shape, changed), groupedSchemaHash(shape, fitted));
    assert.throws(() => groupColumns([{ ...fitted[0]!, version: 99 }]), /no feature group calendar of version 99/);
  });

  test("of every group pass the search for leaks", () => {
    for (const group of all)
      assert.equal(
        findLeak(shape, series, spans, groupedSource(shape, [group], wholeWorld(), starts, fitToMs)),
        null,
        group.name,
      );
    assert.equal(findLeak(shape, series, spans, groupedSource(shape, all, wholeWorld(), starts, fitToMs)), null);
  });
});
