import type { EstateService, EstateTarget } from "../estate/estate.ts";
import type { TargetTelemetry, TelemetrySnapshot } from "../telemetry/telemetry.ts";
import { type CapacityEstimate, CapacityEstimator } from "./estimator.ts";

/** Learnt capacity stays within these times the estate's: beyond it one of the two is wrong, and a person should look. */
const BOUNDS = { least: 0.25, most: 4 };
/** Rounds of telemetry are gathered to readings of so many seconds: Envoy merges latencies only every few seconds. */
const READING_S = 10;

/** What a service has promised. Without a latency nothing is learnt. */
export interface PromisedLatency {
  errorsPpm: number;
  latencyMs: number | null;
  /** Telemetry has the median and the 99th percentile: above one half the latter stands for the quantile, which errs on the safe side. */
  quantile: number;
}

/** One target's capacity as a plan uses it, and where it comes from. */
export interface UsedCapacity {
  rps: number;
  source: "prior" | "learnt";
  /** The estate's own figure. */
  priorRps: number;
  estimate: CapacityEstimate | null;
  /** One sentence. */
  text: string;
}

interface Gathered {
  seconds: number;
  requests: number;
  failed: number;
  latencies: number[];
}

/**
 * Learns the capacities of the targets whose service has an objective, and gives the planner an estate with them. Bounded by
 * the targets of ballast.yaml. Readings during an open window, or with a host missing, are left out: they tell of the
 * outage and not of the target.
 */
export class CapacityBook {
  readonly #estimators = new Map<string, CapacityEstimator>();
  readonly #gathered = new Map<string, Gathered>();
  readonly #targets = new Map<string, { target: EstateTarget; latency: "p50Ms" | "p99Ms" }>();

  constructor(
    services: ReadonlyMap<string, { estate: EstateService }>,
    objectiveOf: (service: string) => PromisedLatency | undefined,
  ) {
    for (const [name, { estate }] of services) {
      const objective = objectiveOf(name);
      if (objective === undefined || objective.latencyMs === null) continue;
      const { latencyMs, errorsPpm, quantile } = objective;
      for (const target of estate.targets) {
        const promised = { latencyMs, errorShare: errorsPpm / 1e6 };
        this.#estimators.set(target.name, new CapacityEstimator(promised));
        this.#targets.set(target.name, { target, latency: quantile > 0.5 ? "p99Ms" : "p50Ms" });
      }
    }
  }

  observe(snapshot: Pick<TelemetrySnapshot, "targets">, nowMs: number): void {
    for (const [name, { target, latency }] of this.#targets) {
      const seen = snapshot.targets.get(name);
      if (seen === undefined || seen.rps === null || !((seen.intervalS ?? 1) > 0)) continue;
      if (!isWhole(seen) || isDisturbed(target, nowMs)) {
        this.#gathered.delete(name);
        continue;
      }
      const seconds = seen.intervalS ?? 1;
      const sum = this.#gathered.get(name) ?? { seconds: 0, requests: 0, failed: 0, latencies: [] };
      sum.seconds += seconds;
      sum.requests += seen.rps * seconds;
      sum.failed += seen.rps * seconds * (seen.errorRatio ?? 0);
      if (seen[latency] !== null) sum.latencies.push(seen[latency]);
      if (sum.seconds < READING_S) {
        this.#gathered.set(name, sum);
        continue;
      }
      this.#gathered.delete(name);
      this.#estimators.get(name)!.observe({
        atMs: nowMs,
        seconds: sum.seconds,
        rps: sum.requests / sum.seconds,
        latencyMs: sum.latencies.length === 0 ? null : sum.latencies.sort((a, b) => a - b)[sum.latencies.length >> 1]!,
        errorShare: sum.requests > 0 ? sum.failed / sum.requests : null,
      });
    }
  }

  /** Every target's capacity; the estate's own where nothing is learnt. */
  used(target: EstateTarget, nowMs: number): UsedCapacity {
    const priorRps = target.capacityRps;
    const estimate = this.#estimators.get(target.name)?.estimate(nowMs) ?? null;
    const prior = { rps: priorRps, source: "prior" as const, priorRps, estimate };
    if (estimate === null) return { ...prior, text: target.capacitySource };
    // "At least" only corrects a prior that is too low; it never says that a target can carry more than was ever seen.
    const wanted = estimate.kind === "at_least" ? Math.max(priorRps, estimate.rps) : estimate.rps;
    const rps = Math.min(BOUNDS.most * priorRps, Math.max(BOUNDS.least * priorRps, wanted));
    if (rps === priorRps) return { ...prior, text: `${target.capacitySource}; ${estimateText(estimate)}` };
    const bound = rps === wanted ? "" : `, held at ${round(rps / priorRps)} times the estate's`;
    const text = `learnt: ${estimateText(estimate)}${bound}; the estate says ${round(priorRps)} rps`;
    return { rps, source: "learnt", priorRps, estimate, text };
  }

  /** The services as a plan should see them. Those without an objective are handed through. */
  apply<S extends { estate: EstateService }>(services: ReadonlyMap<string, S>, nowMs: number): ReadonlyMap<string, S> {
    if (this.#estimators.size === 0) return services;
    const applied = new Map<string, S>();
    for (const [name, service] of services) {
      const targets = service.estate.targets.map((target): EstateTarget => {
        const { rps, source, text } = this.used(target, nowMs);
        return source === "prior"
          ? target
          : { ...target, capacityRps: rps, capacitySource: text, capacityLearnt: true };
      });
      applied.set(name, { ...service, estate: { ...service.estate, targets } });
    }
    return applied;
  }
}

function isWhole({ healthyHosts, totalHosts }: TargetTelemetry): boolean {
  return totalHosts > 0 && healthyHosts === totalHosts;
}

function isDisturbed(target: EstateTarget, nowMs: number): boolean {
  return target.windows.some((window) => window.startMs <= nowMs && nowMs < window.endMs);
}

export function estimateText({ kind, rps, lowRps, highRps, minutes }: CapacityEstimate): string {
  const from = `from ${round(minutes)} min of load`;
  switch (kind) {
    case "measured":
      return `${round(rps)} rps at the objective (95 % ${round(lowRps)}–${round(highRps)}) ${from}`;
    case "at_most":
      return `at most ${round(rps)} rps, the objective was broken at every load seen, ${from}`;
    case "extrapolated":
      return `${round(rps)} rps at the objective, drawn out from at most ${round(lowRps)} rps seen, ${from}`;
    case "at_least":
      return `at least ${round(rps)} rps, the objective was never broken, ${from}`;
  }
}

function round(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
