import assert from "node:assert/strict";
import { test } from "node:test";
import { provisionAreas } from "./provision.ts";

test("areas are requests above and capacity beyond what came", () => {
  // Ten-second steps: 5 rps short, 20 rps too many, exact, and a step nobody saw.
  const areas = provisionAreas([15, 10, 30, Number.NaN], [10, 30, 30, 10], 10_000);
  assert.deepEqual(areas, { under: 50, over: 200, requests: 550, underShare: 1 / 3 });
});

test("a plan of another length is a fault of the caller, and no reading gives no area", () => {
  assert.throws(() => provisionAreas([1], [1, 2], 1000), /1 steps, planned for 2/);
  assert.deepEqual(provisionAreas([Number.NaN], [1], 1000), { under: 0, over: 0, requests: 0, underShare: 0 });
});
