import type { LoadHistory } from "../features/load-history.ts";
import type { Chain, Forecaster } from "../forecast/forecaster.ts";
import { planFleet } from "../plan/plan-fleet.ts";
import type { FleetPlan, PlanInput, PlanMemory } from "../plan/plan.ts";

export interface SimulateOptions {
  services: PlanInput["services"];
  history: LoadHistory;
  /** Null: plan without any forecast. */
  forecaster: Forecaster | null;
  chain: Chain;
  fromMs: number;
  toMs: number;
  stepMs: number;
}

/** Most plans of one run: a year of five-minute steps. */
export const MAX_SIMULATED_STEPS = 105_120;

/**
 * Plans step by step over a span of the calendar with what was known at each step, as the control server would, but without
 * live telemetry: every target counts as healthy. Yields each step; only `history` up to that step is looked at.
 */
export async function* simulatePlans(options: SimulateOptions): AsyncGenerator<{ atMs: number; plan: FleetPlan }> {
  const { services, history, forecaster, chain, fromMs, toMs, stepMs } = options;
  if ((toMs - fromMs) / stepMs > MAX_SIMULATED_STEPS) throw new Error(`more than ${MAX_SIMULATED_STEPS} steps`);
  let memory: PlanMemory | undefined;
  let last: PlanInput["last"] = null;
  for (let atMs = fromMs; atMs <= toMs; atMs += stepMs) {
    const forecasts = forecaster === null ? new Map() : await forecaster.forecast(history, [...services.keys()], atMs, { chain });
    const telemetry = {
      atMonotonicMs: atMs,
      unreachable: [],
      targets: new Map(
        [...services.values()].flatMap(({ estate }) =>
          estate.targets.map((target) => [
            target.name,
            { target: target.name, healthyHosts: 1, totalHosts: 1, rps: null, activeRequests: 0, p50Ms: null, p99Ms: null, errorRatio: null },
          ]),
        ),
      ),
    };
    const plan = planFleet({
      nowMs: atMs,
      monotonicMs: atMs,
      services,
      forecasts,
      telemetry,
      last,
      planIntervalMs: stepMs,
      ...(memory === undefined ? {} : { memory }),
    });
    memory = plan.memory;
    const previous = last;
    last = new Map(
      [...plan.services].map(([name, service]) => [
        name,
        { plan: service, steppedAtMs: service.steppedAtMs ?? previous?.get(name)?.steppedAtMs ?? Number.NEGATIVE_INFINITY },
      ]),
    );
    yield { atMs, plan };
  }
}
