import type { Chain, Forecaster } from "../forecast/forecaster.ts";
import type { LoadHistory } from "../ingest/load-history.ts";
import type { FleetPlan, PlanInput, PlanMemory, PlannedService } from "../plan/plan.ts";
import { planFleet } from "../plan/plan-fleet.ts";
import type { RiskBook } from "./change-risk.ts";

export interface SimulateOptions {
  services: PlanInput["services"];
  history: LoadHistory;
  /** Null: plan without any forecast. */
  forecaster: Forecaster | null;
  chain: Chain;
  /** Null: the risk of changes is not looked at. */
  risks?: RiskBook | null;
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
  const { services, history, forecaster, chain, risks, fromMs, toMs, stepMs } = options;
  if ((toMs - fromMs) / stepMs > MAX_SIMULATED_STEPS) throw new Error(`more than ${MAX_SIMULATED_STEPS} steps`);
  let memory: PlanMemory | undefined;
  const last = new Map<string, { plan: PlannedService; steppedAtMs: number }>();
  for (let atMs = fromMs; atMs <= toMs; atMs += stepMs) {
    const forecasts =
      forecaster === null ? new Map() : await forecaster.forecast(history, [...services.keys()], atMs, { chain });
    const telemetry = {
      atMonotonicMs: atMs,
      unreachable: [],
      targets: new Map(
        [...services.values()].flatMap(({ estate }) =>
          estate.targets.map((target) => [
            target.name,
            {
              target: target.name,
              healthyHosts: 1,
              totalHosts: 1,
              rps: null,
              activeRequests: 0,
              p50Ms: null,
              p99Ms: null,
              errorRatio: null,
            },
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
      ...(risks == null ? {} : { risks: await risks.at(atMs) }),
      last: last.size === 0 ? null : last,
      planIntervalMs: stepMs,
      ...(memory === undefined ? {} : { memory }),
    });
    memory = plan.memory;
    for (const [name, service] of plan.services) {
      const steppedAtMs = service.steppedAtMs ?? last.get(name)?.steppedAtMs ?? Number.NEGATIVE_INFINITY;
      last.set(name, { plan: service, steppedAtMs });
    }
    yield { atMs, plan };
  }
}
