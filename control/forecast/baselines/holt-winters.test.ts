import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SeededRandom } from "../../features/seeded-random.ts";
import { holtWinters, holtWintersOfLogs } from "./holt-winters.ts";

const SHAPE = { season: 12, horizon: 24 };
const wave = (t: number) => Math.sin((2 * Math.PI * t) / 12);

describe("Holt-Winters", () => {
  test("continues a line with a season that is added to it", () => {
    const past = Float64Array.from({ length: 120 }, (_, t) => 50 + 2 * t + 30 * wave(t));
    const { at } = holtWinters.fit(past, SHAPE);
    for (let h = 1; h <= 24; h++)
      assert.ok(Math.abs(at(120, h) - (50 + 2 * (119 + h) + 30 * wave(119 + h))) < 6, `${h}`);
  });

  test("of logarithms continues growth whose season grows with it", () => {
    const value = (t: number) => Math.exp(3 + 0.01 * t + 0.3 * wave(t));
    const { at } = holtWintersOfLogs.fit(
      Float64Array.from({ length: 120 }, (_, t) => value(t)),
      SHAPE,
    );
    for (let h = 1; h <= 24; h++) assert.ok(Math.abs(at(120, h) / value(119 + h) - 1) < 0.1, `${h}`);
  });

  test("of logarithms falls back to values where one is not above nought", () => {
    const past = Float64Array.from({ length: 60 }, (_, t) => (t === 5 ? 0 : 10 + 5 * wave(t)));
    assert.equal(holtWintersOfLogs.fit(past, SHAPE).at(60, 3), holtWinters.fit(past, SHAPE).at(60, 3));
  });

  test("at an origin reads only the steps before it", () => {
    const random = new SeededRandom(9);
    const past = Float64Array.from({ length: 80 }, (_, t) => 10 + wave(t) + random.normal());
    const { from, at } = holtWinters.fit(past, SHAPE);
    assert.ok(from <= 80 && Number.isFinite(at(from, 1)) && Number.isFinite(at(from, 24)));
    assert.ok(Number.isFinite(at(80, 24)));
  });
});
