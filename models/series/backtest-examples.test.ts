import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_EXAMPLES } from "../../control/features/series/training-examples.ts";
import { backtestExamples } from "./backtest-examples.ts";

test("a backtest of a very long horizon learns from fewer origins, and from as many rows", () => {
  assert.deepEqual(backtestExamples({ season: 288, horizon: 720 }), {});
  for (const horizon of [721, 1_440, 5_000]) {
    const options = { ...DEFAULT_EXAMPLES, ...backtestExamples({ season: 1_440, horizon }) };
    assert.ok(options.originsPerCopy * horizon < 1.02 * 800 * 720);
    assert.ok(Math.abs((options.originsPerCopy * options.stepsPerOrigin) / 6_400 - 1) < 0.06);
    assert.ok(options.originsPerHeldOut >= 40 && options.stepsPerOrigin <= horizon);
  }
});
