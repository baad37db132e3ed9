import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { empty, HOUR_MS, START_MS, said, values } from "./groups.fixture.ts";
import { velocity } from "./velocity.ts";

describe("velocity", () => {
  test("is that of the load beyond what the season does, and scales with the unit", () => {
    const at = START_MS + 300 * HOUR_MS;
    const one = said(velocity, empty, at);
    const [last, before] = [values[299]!, values[298]!];
    assert.ok(Math.abs(one.velocity_1! - (last - before) / 10) < 1e-5);
    assert.ok(Math.abs(one.velocity_acceleration_1! - (last - 2 * before + values[297]!) / 10) < 1e-5);
    assert.ok(Math.abs(one.velocity_excess_1! - (last - before - (values[275]! - values[274]!)) / 10) < 1e-5);
  });
});
