import assert from "node:assert/strict";
import { test } from "node:test";
import type { DemandForecast } from "../forecast/forecast.ts";
import { demandOf } from "./demand.ts";
import { at, forecast, policy, service } from "./plan.fixture.ts";
import type { PlannedService } from "./plan.ts";
import { planFleet } from "./plan-fleet.ts";

const NOTHING: Partial<DemandForecast> = { source: "none", fallbackReasons: ["nothing was seen"], lastRps: null };

/** One plan of two equal sites of 480 rps that read `rps` each from live telemetry; site-a has four fifths of the base. */
function plan(made: DemandForecast, rps: number | null): PlannedService {
  const names = ["payments-site-a", "payments-site-b"];
  const estate = service("payments", { "payments-site-a": {}, "payments-site-b": {} });
  const idle = { healthyHosts: 1, totalHosts: 1, activeRequests: 0, p50Ms: null, p99Ms: null, errorRatio: null };
  const { services } = planFleet({
    nowMs: at("08:00"),
    monotonicMs: 1_000,
    services: new Map([
      ["payments", { estate, policy: policy({ "payments-site-a": 800_000, "payments-site-b": 200_000 }) }],
    ]),
    forecasts: new Map([["payments", made]]),
    telemetry: {
      atMonotonicMs: 1_000,
      unreachable: [],
      targets: new Map(names.map((target) => [target, { target, rps, ...idle }])),
    },
    last: null,
    planIntervalMs: 0,
  });
  return services.get("payments")!;
}

const texts = (planned: PlannedService): string =>
  planned.targets.flatMap((target) => target.causes.map((cause) => cause.text)).join("\n");

test("live telemetry tells the load now where the forecast does not know it", () => {
  const demand = demandOf(forecast("payments", 50, 0, NOTHING), 0.9, 145);
  assert.deepEqual([demand.presentRps, demand.presentSource, demand.plannedRps], [145, "telemetry", 145]);
  const planned = plan(forecast("payments", 50, 0, NOTHING), 250);
  // 500 rps at 80 % are 400, above 70 % of 480: site-a is relieved although there is no forecast.
  assert.ok(planned.targets[0]!.weightPpm < 800_000);
  assert.match(texts(planned), /500 rps now \(telemetry\)/);
});

test("a load of zero that was observed is known, and live telemetry does not replace it", () => {
  const demand = demandOf(forecast("payments", 50, 0), 0.9, 145);
  assert.deepEqual([demand.presentRps, demand.presentSource], [0, "last step"]);
});

test("a load that nobody knows is called not known, never 0 rps", () => {
  const unknown = demandOf(forecast("payments", 50, 0, NOTHING), 0.9, null);
  assert.deepEqual([unknown.presentRps, unknown.plannedRps], [null, null]);
  const blind = texts(plan(forecast("payments", 50, 0, NOTHING), null));
  assert.match(blind, /^no forecast, load now not known; fall-back from the model: nothing was seen$/m);
  const seasonal = texts(plan(forecast("payments", 700, 0, { source: "seasonal_naive", lastRps: null }), null));
  assert.match(seasonal, /^seasonal naive p90 peak 700 rps in .*, load now not known: 560 rps at 80/m);
  assert.doesNotMatch(blind + seasonal, /\b0 rps now/);
});
