import type { CapacityOrigin, EstateService, EstateTarget } from "../estate/estate.ts";
import type { TargetTelemetry, TelemetrySnapshot } from "../telemetry/telemetry.ts";
import { type CapacityEstimate, CapacityEstimator, type EstimatorState, type Objective } from "./estimator.ts";

/** Learnt capacity stays within these times the estate's: beyond it one of the two is wrong, and a person should look. */
const BOUNDS = { least: 0.25, most: 4 };

/** What a service has promised. Without a latency nothing is learnt. */
export interface PromisedLatency {
  errorsPpm: number;
  latencyMs: number | null;
  /** Telemetry has the median and the 99th percentile: above one half the latter stands for the quantile, which errs on the safe side. */
  quantile: number;
  /** Rounds of telemetry are gathered to readings of so long: Envoy merges latencies only every few seconds. */
  readingMs: number;
}

/** One target's capacity as a plan uses it, and where it comes from. */
export interface UsedCapacity {
  rps: number;
  source: CapacityOrigin;
  /** The estate's own figure. */
  priorRps: number;
  estimate: CapacityEstimate | null;
  /** Time since the newest reading behind what was learnt; null where the estate's figure is used. */
  learntAgeMs: number | null;
  /** One sentence. */
  text: string;
}

/** What is known of one target, and of what: it says nothing of a target of another size or with another promise. */
export interface TargetMemory {
  target: string;
  /** The estate's figure. */
  priorRps: number;
  latencyMs: number;
  errorShare: number;
  quantile: "p50" | "p99";
  state: EstimatorState;
}

/** Names of the targets that go on with what was learnt, and of those that begin anew, each with why. */
export interface Recalled {
  restored: string[];
  forgotten: { target: string; why: string }[];
}

interface Learning {
  target: EstateTarget;
  promised: Objective;
  /** Which of the telemetry's latencies is read. */
  quantile: "p50" | "p99";
  estimator: CapacityEstimator;
  readingS: number;
  readings: number;
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
  readonly #gathered = new Map<string, Gathered>();
  readonly #targets = new Map<string, Learning>();
  readonly #services = new Map<string, readonly EstateTarget[]>();

  constructor(
    services: ReadonlyMap<string, { estate: EstateService }>,
    objectiveOf: (service: string) => PromisedLatency | undefined,
  ) {
    for (const [name, { estate }] of services) {
      const objective = objectiveOf(name);
      if (objective === undefined || objective.latencyMs === null) continue;
      const { latencyMs, errorsPpm, quantile, readingMs } = objective;
      for (const target of estate.targets) {
        const promised = { latencyMs, errorShare: errorsPpm / 1e6 };
        const readingS = readingMs / 1000;
        const estimator = new CapacityEstimator(promised, { readingS });
        const learning = { target, promised, estimator, readingS, readings: 0 };
        this.#targets.set(target.name, { ...learning, quantile: quantile > 0.5 ? "p99" : "p50" });
      }
      this.#services.set(name, estate.targets);
    }
  }

  observe(snapshot: Pick<TelemetrySnapshot, "targets">, nowMs: number): void {
    for (const [name, learning] of this.#targets) {
      const { target } = learning;
      const latency = `${learning.quantile}Ms` as const;
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
      if (sum.seconds < learning.readingS) {
        this.#gathered.set(name, sum);
        continue;
      }
      this.#gathered.delete(name);
      const taken = learning.estimator.observe({
        atMs: nowMs,
        seconds: sum.seconds,
        rps: sum.requests / sum.seconds,
        latencyMs: sum.latencies.length === 0 ? null : sum.latencies.sort((a, b) => a - b)[sum.latencies.length >> 1]!,
        errorShare: sum.requests > 0 ? sum.failed / sum.requests : null,
      });
      if (taken) learning.readings += 1;
    }
  }

  /** The services that something is learnt of. */
  get services(): string[] {
    return [...this.#services.keys()];
  }

  /** Readings taken of a service's targets since the start: what was kept is of now as long as this is the same. */
  readings(service: string): number {
    const targets = this.#services.get(service) ?? [];
    return targets.reduce((sum, { name }) => sum + this.#targets.get(name)!.readings, 0);
  }

  /** What a successor needs to go on, of one service. */
  memory(service: string): TargetMemory[] {
    return (this.#services.get(service) ?? []).flatMap(({ name, capacityRps: priorRps }) => {
      const { estimator, promised, quantile } = this.#targets.get(name)!;
      const state = estimator.state();
      return state === null ? [] : [{ target: name, priorRps, ...promised, quantile, state }];
    });
  }

  /** Goes on with what was learnt before, of targets whose size and promise are the same. */
  recall(memories: readonly TargetMemory[], nowMs: number): Recalled {
    const recalled: Recalled = { restored: [], forgotten: [] };
    for (const memory of memories) {
      const why = this.#unfit(memory) ?? (this.#restore(memory, nowMs) ? null : "what was kept is not sound");
      if (why === null) recalled.restored.push(memory.target);
      else recalled.forgotten.push({ target: memory.target, why });
    }
    return recalled;
  }

  #restore({ target, state }: TargetMemory, nowMs: number): boolean {
    return this.#targets.get(target)!.estimator.restore(state, nowMs);
  }

  #unfit({ target: name, priorRps, latencyMs, errorShare, quantile }: TargetMemory): string | null {
    const learning = this.#targets.get(name);
    if (learning === undefined) return "its capacity is not learnt any more";
    const { target, promised } = learning;
    if (target.capacityRps !== priorRps)
      return `its size changed: the estate says ${round(target.capacityRps)} rps, not ${round(priorRps)}`;
    const same =
      promised.latencyMs === latencyMs && promised.errorShare === errorShare && learning.quantile === quantile;
    return same ? null : "another latency or share of errors is promised";
  }

  /** Every target's capacity; the estate's own where nothing is learnt. */
  used(target: EstateTarget, nowMs: number): UsedCapacity {
    const priorRps = target.capacityRps;
    const estimate = this.#targets.get(target.name)?.estimator.estimate(nowMs) ?? null;
    const prior = { rps: priorRps, source: target.capacityOrigin, priorRps, learntAgeMs: null, estimate };
    if (estimate === null) return { ...prior, text: target.capacitySource };
    // "At least" only corrects a prior that is too low; it never says that a target can carry more than was ever seen.
    const wanted = estimate.kind === "at_least" ? Math.max(priorRps, estimate.rps) : estimate.rps;
    const rps = Math.min(BOUNDS.most * priorRps, Math.max(BOUNDS.least * priorRps, wanted));
    if (rps === priorRps) return { ...prior, text: `${target.capacitySource}; ${estimateText(estimate)}` };
    const bound = rps === wanted ? "" : `, held at ${round(rps / priorRps)} times the estate's`;
    const text = `learnt: ${estimateText(estimate)}${bound}; the estate says ${round(priorRps)} rps`;
    return { rps, source: "learnt", priorRps, learntAgeMs: estimate.ageMs, estimate, text };
  }

  /** The services as a plan should see them. Those without an objective are handed through. */
  apply<S extends { estate: EstateService }>(services: ReadonlyMap<string, S>, nowMs: number): ReadonlyMap<string, S> {
    if (this.#targets.size === 0) return services;
    const applied = new Map<string, S>();
    for (const [name, service] of services) {
      const targets = service.estate.targets.map((target): EstateTarget => {
        const { rps, source, text } = this.used(target, nowMs);
        return source === "learnt"
          ? { ...target, capacityRps: rps, capacitySource: text, capacityOrigin: source }
          : target;
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

/** A newest reading older than this is told with the estimate. */
const OLD_MS = 300_000;

export function estimateText({ kind, rps, lowRps, highRps, minutes, ageMs }: CapacityEstimate): string {
  const old = ageMs < OLD_MS ? "" : `, the last ${ageText(ageMs)} ago`;
  const from = `from ${round(minutes)} min of load${old}`;
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

function ageText(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  return minutes < 120
    ? `${minutes} min`
    : minutes < 2_880
      ? `${Math.round(minutes / 60)} h`
      : `${Math.round(minutes / 1440)} days`;
}

function round(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}
