import assert from "node:assert/strict";
import { test } from "node:test";
import { at, forecast, policy, Runner, service } from "./plan.fixture.ts";
import { stillAhead } from "./still-ahead.ts";

const [A, B] = ["payments-site-a", "payments-site-b"];
const MIN = 60_000;

/** A hot forecast until 08:00, of which nothing newer comes; steps of 5 points each 10 minutes. */
function stuck() {
  const hot = forecast("payments", 672, 300, { issuedAtMs: at("08:00") });
  const estate = service("payments", { [A]: { rps: 480 }, [B]: { rps: 480 } });
  const base = { [A]: 600_000, [B]: 400_000 };
  return new Runner({
    estate,
    policy: { ...policy(base), stepLimitPpm: 50_000 },
    demand: (nowMs) =>
      nowMs < at("08:00")
        ? forecast("payments", 672, 300, { issuedAtMs: nowMs })
        : stillAhead(new Map([["payments", hot]]), nowMs).get("payments"),
  });
}

test("a signal that went stale lets the weights go home to the base, step by step, and the causes say what is missing", () => {
  const runner = stuck();
  runner.run(at("07:00"), at("09:00"), 5 * MIN);
  assert.equal(runner.weightAt(A, at("08:05")), 500_000, "the hot forecast still speaks of this time");
  assert.equal(runner.weightAt(A, at("08:10")), 550_000, "then one step");
  assert.equal(runner.weightAt(A, at("08:30")), 600_000, "and the base");
  const causes = runner.at(at("08:10")).targets[0]!.causes;
  assert.ok(causes.some(({ kind, text }) => kind === "forecast" && text.startsWith("no forecast, load now not known")));
  assert.ok(causes.some(({ kind, effectPpm }) => kind === "step_limit" && effectPpm === -50_000));
  for (const { plan } of runner.trace)
    for (const { basePpm, weightPpm, causes: all } of plan.targets)
      assert.equal(
        all.reduce((sum, { effectPpm }) => sum + effectPpm, 0),
        weightPpm - basePpm,
      );
});

test("live load wins over a forecast that says less, whichever link of the chain it is from", () => {
  for (const source of ["model", "seasonal_naive", "theta", "last"] as const) {
    const runner = new Runner({
      estate: service("payments", { [A]: { rps: 480 }, [B]: { rps: 480 } }),
      policy: policy({ [A]: 600_000, [B]: 400_000 }),
      demand: () => forecast("payments", 100, 672, { source }),
    });
    assert.equal(runner.step(at("08:00")).targets[0]!.weightPpm, 500_000, source);
  }
});

test("which link answered, and why no earlier one did, is a cause of every weight, also where it moves nothing", () => {
  for (const source of ["model", "seasonal_naive", "theta", "last", "none"] as const) {
    const fallbackReasons = source === "model" ? [] : ["INFERENCE_TIMEOUT: no answer from the model within 2000 ms"];
    const runner = new Runner({
      estate: service("payments", { [A]: { rps: 480 }, [B]: { rps: 480 } }),
      policy: policy({ [A]: 600_000, [B]: 400_000 }),
      demand: () => forecast("payments", 100, 90, { source, fallbackReasons }),
    });
    for (const { causes } of runner.step(at("08:00")).targets) {
      const cause = causes.find(({ kind }) => kind === "forecast");
      assert.equal(cause?.ref, source);
      assert.equal(/INFERENCE_TIMEOUT/.test(cause.text), source !== "model");
    }
  }
});
