import assert from "node:assert/strict";
import { test } from "node:test";
import type { EnvoyReading } from "../telemetry/telemetry-window.ts";
import { RolloutMeter } from "./meter.ts";

/** Counters of one cluster, 10 ms apart in two bins below and above 100 ms. */
function reading(node: string | null, atMonotonicMs: number, completed: number, failed = 0, slow = 0): EnvoyReading {
  const latency = new Map([
    [0, { lowMs: 0, widthMs: 100, count: completed - slow }],
    [100, { lowMs: 100, widthMs: 100, count: slow }],
  ]);
  const stats = { completed, errors5xx: failed, ejected: 0, active: 0, latency };
  const cluster = { healthyHosts: 1, totalHosts: 1, statName: "a", stats };
  return { url: `http://${node}`, node, atMonotonicMs, uptimeS: null, clusters: new Map([["a", cluster]]) };
}
const objective = { errorsPpm: 10_000, latencyMs: 100, quantile: 0.99 };
const all = () => true;

test("what is measured begins with the first reading after the mark, apart for any part of the fleet", () => {
  const meter = new RolloutMeter({ lookBackMs: 10_000 });
  meter.add([reading("edge-1", 0, 100), reading("edge-2", 0, 100)]);
  const mark = meter.mark(500, 10_000);
  assert.equal(meter.since(mark, ["a"], objective, all).requests, 0);
  meter.add([reading("edge-1", 1_000, 150, 50), reading("edge-2", 1_000, 120)]);
  meter.add([reading("edge-1", 2_000, 250, 60, 20), reading("edge-2", 2_000, 130)]);
  const ahead = meter.since(mark, ["a"], objective, (node) => node === "edge-1");
  assert.deepEqual([ahead.requests, ahead.failed, ahead.timed, ahead.slow], [100, 10, 100, 20]);
  const { requests, failed } = meter.since(mark, ["a"], objective, all);
  assert.deepEqual([requests, failed], [110, 10]);
  assert.equal(meter.since(mark, ["nowhere"], objective, all).requests, 0);
});

test("an Envoy that starts anew counts from zero", () => {
  const meter = new RolloutMeter({ lookBackMs: 10_000 });
  meter.add([reading("edge-1", 0, 100)]);
  const mark = meter.mark(0, 10_000);
  meter.add([reading("edge-1", 1_000, 200)]);
  meter.add([reading("edge-1", 2_000, 7, 7)]);
  const { requests, failed } = meter.since(mark, ["a"], objective, all);
  assert.deepEqual([requests, failed], [7, 7]);
});

test("before a change is what happened over the look-back, and null while nothing is known of it", () => {
  const meter = new RolloutMeter({ lookBackMs: 10_000 });
  assert.equal(meter.lookBack(["a"], objective, all), null);
  meter.add([reading("edge-1", 0, 1_000)]);
  assert.equal(meter.lookBack(["a"], objective, all), null);
  for (let s = 1; s <= 30; s++) meter.add([reading("edge-1", 1_000 * s, 1_000 + 10 * s, s)]);
  const { requests, failed } = meter.lookBack(["a"], objective, all)!;
  assert.ok(requests >= 80 && requests <= 100, String(requests));
  assert.equal(requests, 10 * failed);
});

test("silent is who reported before the mark and has said nothing for the whole gap since", () => {
  const meter = new RolloutMeter({ lookBackMs: 10_000 });
  meter.add([reading("edge-1", 0, 1), reading("edge-2", 0, 1), reading("old", -60_000, 1)]);
  const mark = meter.mark(1_000, 5_000);
  meter.add([reading("edge-1", 2_000, 1), { url: "http://edge-2", atMonotonicMs: 2_000, reason: "refused" }]);
  assert.deepEqual(meter.heard(mark, 3_000, 5_000, all), { reporting: 1, silent: [] });
  meter.add([reading("edge-1", 6_000, 1)]);
  assert.deepEqual(meter.heard(mark, 6_001, 5_000, all), { reporting: 1, silent: ["edge-2"] });
  assert.deepEqual(
    meter.heard(mark, 6_001, 5_000, (node) => node === "edge-3"),
    { reporting: 0, silent: [] },
  );
});
