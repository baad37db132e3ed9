import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { coupling } from "./coupling.ts";
import { empty, HOUR_MS, START_MS, said, values } from "./groups.fixture.ts";
import type { World } from "./world.ts";

describe("coupling", () => {
  const load = (raise: (t: number) => number) => ({
    startMs: START_MS,
    values: Float64Array.from(values, (value, t) => 3 * value + raise(t)),
  });
  const world = (raise: (t: number) => number): World => ({
    ...empty,
    loads: new Map([["web", load(raise)]]),
    neighbours: new Map([
      [
        "api",
        [
          { service: "web", weight: 0.5 },
          { service: "gone", weight: 1 },
        ],
      ],
    ]),
  });

  test("tells of a neighbour's surge in the neighbour's own unit, once its step has ended", () => {
    const at = 300;
    const calm = said(
      coupling,
      world(() => 0),
      START_MS + at * HOUR_MS,
    );
    const surge = said(
      coupling,
      world((t) => (t >= at - 2 && t < at ? 150 : 0)),
      START_MS + at * HOUR_MS,
    );
    assert.ok(Math.abs(calm.coupling_residual_1!) < 3);
    assert.ok(surge.coupling_residual_1! > 15 && surge.coupling_rise! > 5, JSON.stringify(surge));
    const later = said(
      coupling,
      world((t) => (t >= at ? 150 : 0)),
      START_MS + at * HOUR_MS,
    );
    assert.deepEqual(later, calm);
  });

  test("says nought without neighbours or readings", () => {
    assert.ok(Object.values(said(coupling, empty, START_MS + 300 * HOUR_MS)).every((value) => value === 0));
  });
});
