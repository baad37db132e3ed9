/** Small estates and a calendar runner for the planner's tests. Times are minutes after 2026-03-02 00:00 UTC. */
import type { EstateService, TargetWindow } from "../estate/estate.ts";
import type { DemandForecast } from "../forecast/forecast.ts";
import { Quantiles } from "../forecast/quantiles.ts";
import type { TargetTelemetry } from "../telemetry/telemetry.ts";
import type { FleetPlan, PlanInput, PlanMemory, PlannedService, ServicePolicy } from "./plan.ts";
import { planFleet } from "./plan-fleet.ts";

export const MIN = 60_000;
export const dayMs = Date.UTC(2026, 2, 2);

export function at(clock: string): number {
  const [h, m] = clock.split(":").map(Number) as [number, number];
  return dayMs + (h * 60 + m) * MIN;
}

const provenance = { file: "change_request.json", table: "change_request", index: 0, line: 1, sysId: "0" };

export function window(ticket: string, start: number, end: number, more: Partial<TargetWindow> = {}): TargetWindow {
  return {
    ticket,
    kind: "change",
    startMs: start,
    endMs: end,
    ciId: "db",
    ciName: "db-site-b",
    path: ["pay-app-b", "db-site-b"],
    remaining: 0,
    provenance,
    ...more,
  };
}

export function service(
  name: string,
  targets: { [name: string]: { rps?: number; windows?: TargetWindow[] } },
): EstateService {
  return {
    name,
    ciId: name,
    targets: Object.entries(targets).map(([target, { rps = 480, windows = [] }]) => ({
      name: target,
      ciId: `ci-${target}`,
      ciName: `app-${target}`,
      capacityRps: rps,
      capacitySource: "40 cores at 12 rps",
      capacityOrigin: "estate" as const,
      windows: windows.toSorted((a, b) => a.startMs - b.startMs),
    })),
  };
}

export function policy(base: { [target: string]: number }, more: Partial<ServicePolicy> = {}): ServicePolicy {
  return {
    mode: "steer",
    basePpm: new Map(Object.entries(base)),
    hasSessions: false,
    sessionsMoveBeforeMs: 30 * MIN,
    floorPpm: 0,
    capPpm: 1_000_000,
    stepLimitPpm: 200_000,
    stepIntervalMs: 10 * MIN,
    hysteresisPpm: 10_000,
    leadTimeMs: 25 * MIN,
    returnAfterMs: 10 * MIN,
    demandLevel: 0.9,
    targetUtilisation: 0.7,
    telemetryMaxAgeMs: 50 * MIN,
    ...more,
  };
}

export function forecast(name: string, peak: number, now = peak, more: Partial<DemandForecast> = {}): DemandForecast {
  return {
    service: name,
    source: "model",
    fallbackReasons: [],
    issuedAtMs: dayMs,
    stepMs: 5 * MIN,
    levels: [0.5, 0.9],
    values: Quantiles.of([
      [now, peak * 0.9],
      [now, peak],
    ]),
    lastRps: now,
    ...more,
  };
}

export interface World {
  estate: EstateService;
  policy: ServicePolicy;
  demand?: (nowMs: number) => DemandForecast | undefined;
  /** Healthy hosts of a target at a time; null = this target is not reported. Default 1 of 1. */
  healthy?: (target: string, nowMs: number) => number | null;
  /** No telemetry at all at this time. */
  blind?: (nowMs: number) => boolean;
}

/** Plans one service at ever later times and hands memory and the plan in force back, as the server does. */
export class Runner {
  world: World;
  memory: PlanMemory | undefined;
  last: PlanInput["last"] = null;
  readonly planIntervalMs: number;
  /** Every plan, in order, with its time. */
  readonly trace: { nowMs: number; plan: PlannedService }[] = [];

  constructor(world: World, planIntervalMs = 0) {
    this.world = world;
    this.planIntervalMs = planIntervalMs;
  }

  plan(nowMs: number): FleetPlan {
    const { estate, policy, demand, healthy, blind } = this.world;
    const targets = new Map<string, TargetTelemetry>();
    for (const t of estate.targets) {
      const hosts = healthy === undefined ? 1 : healthy(t.name, nowMs);
      if (hosts === null) continue;
      const idle = { rps: null, activeRequests: 0, p50Ms: null, p99Ms: null, errorRatio: null };
      targets.set(t.name, { target: t.name, healthyHosts: hosts, totalHosts: 1, ...idle });
    }
    const made = demand === undefined ? forecast(estate.name, 100) : demand(nowMs);
    return planFleet({
      nowMs,
      monotonicMs: 1_000,
      services: new Map([[estate.name, { estate, policy }]]),
      forecasts: new Map(made === undefined ? [] : [[estate.name, made]]),
      telemetry: blind?.(nowMs) ? null : { atMonotonicMs: 1_000, targets, unreachable: [] },
      last: this.last,
      planIntervalMs: this.planIntervalMs,
      ...(this.memory === undefined ? {} : { memory: this.memory }),
    });
  }

  step(nowMs: number): PlannedService {
    const { services, memory } = this.plan(nowMs);
    const plan = services.get(this.world.estate.name)!;
    // Through JSON, as the store does: memory must survive it.
    this.memory = JSON.parse(JSON.stringify(memory)) as PlanMemory;
    this.last = new Map([[plan.name, { plan, steppedAtMs: plan.steppedAtMs! }]]);
    this.trace.push({ nowMs, plan });
    return plan;
  }

  run(fromMs: number, toMs: number, everyMs: number): PlannedService {
    for (let t = fromMs; t < toMs; t += everyMs) this.step(t);
    return this.step(toMs);
  }

  /** Forgets everything but the plan in force, as a restart does; with `all`, that too. */
  restart(all = false): void {
    this.memory = undefined;
    if (all) this.last = null;
  }

  weightAt(target: string, nowMs: number): number {
    return this.at(nowMs).targets.find((t) => t.name === target)!.weightPpm;
  }

  stickyAt(target: string, nowMs: number): number {
    return this.at(nowMs).targets.find((t) => t.name === target)!.stickyPpm;
  }

  at(nowMs: number): PlannedService {
    const found = this.trace.findLast((t) => t.nowMs <= nowMs);
    if (found === undefined) throw new Error("nothing was planned by then");
    return found.plan;
  }
}
