import type { EstateService } from "../../control/estate/estate.ts";
import { type ChangeRisks, riskKey } from "../../control/forecast/risk/risk.ts";
import { PPM, type ServicePolicy } from "../../control/plan/plan.ts";
import { planFleet } from "../../control/plan/plan-fleet.ts";

/** What the planner makes of probabilities, over all cases of the test span. */
export interface PlanEffect {
  /** Share of the requests of a target under change that met a degraded target, with the policy's defaults. */
  met: number;
  /** Share of traffic that was moved ahead, mean over the cases. */
  moved: number;
}

const HOUR_MS = 3_600_000;
const policy: ServicePolicy = {
  mode: "steer",
  basePpm: new Map([
    ["here", 500_000],
    ["there", 500_000],
  ]),
  hasSessions: false,
  sessionsMoveBeforeMs: 0,
  floorPpm: 0,
  capPpm: PPM,
  stepLimitPpm: PPM,
  stepIntervalMs: 1,
  hysteresisPpm: 0,
  leadTimeMs: HOUR_MS,
  returnAfterMs: 0,
  demandLevel: 0.9,
  targetUtilisation: 0.7,
  telemetryMaxAgeMs: 1,
  riskFrom: 0.1,
  riskShiftPpm: 500_000,
};

/**
 * Plans each case by the planner itself: a service of two equal targets with room, one of them under a change that leaves it
 * in service. Counts requests in units of the service's whole traffic during the window.
 */
export function planEffect(
  cases: readonly { probability: number; degraded: boolean }[],
  riskShiftPpm: number,
): PlanEffect {
  const provenance = { file: "", table: "change_request", index: 0, line: 1, sysId: "c" };
  const window = {
    ticket: "CHG",
    kind: "change" as const,
    startMs: 0,
    endMs: HOUR_MS,
    ciId: "",
    ciName: "ci",
    path: ["ci"],
    remaining: 1,
    provenance,
  };
  const target = (name: string, windows: EstateService["targets"][number]["windows"]) => ({
    name,
    ciId: name,
    ciName: name,
    capacityRps: 1_000,
    capacityOrigin: "estate" as const,
    capacitySource: "",
    windows,
  });
  const estate: EstateService = { name: "s", ciId: "s", targets: [target("here", [window]), target("there", [])] };
  let [met, moved] = [0, 0];
  for (const { probability, degraded } of cases) {
    const risks: ChangeRisks = new Map([
      [riskKey("c", "here"), { change: "c", target: "here", probability, source: "model", fallbackReasons: [] }],
    ]);
    const { services } = planFleet({
      nowMs: 0,
      monotonicMs: 0,
      services: new Map([["s", { estate, policy: { ...policy, riskShiftPpm } }]]),
      forecasts: new Map(),
      risks,
      telemetry: null,
      last: null,
    });
    const share = services.get("s")!.targets[0]!.weightPpm / PPM;
    if (degraded) met += share;
    moved += 0.5 - share;
  }
  return { met: met / cases.length, moved: moved / cases.length };
}
