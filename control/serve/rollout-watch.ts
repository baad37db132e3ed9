import type { Clock } from "../../common/clock.ts";
import type { BallastConfig } from "../config/config.ts";
import type { Observation, RolloutPolicy } from "../rollout/decide.ts";
import { type Flight, isPartial } from "../rollout/flight.ts";
import type { Mark, NodeFilter, RolloutMeter } from "../rollout/meter.ts";
import type { Metrics } from "../rollout/metrics.ts";
import type { Seen } from "../rollout/objective.ts";
import { positionOf } from "../xds/cohort.ts";

export interface RolloutWatchOptions {
  config: BallastConfig;
  clock: Clock;
  meter: RolloutMeter;
  /** Planning milliseconds per monotonic millisecond. */
  clockRate: number;
}

/** Envoys are read twice a second: on a fast planning clock a gap could be shorter than the time between two readings. */
const LEAST_GAP_MS = 2_000;

/** What can be seen of units in flight: measures each present step apart, at the nodes that have it and at those that have not. */
export class RolloutWatch {
  readonly #options: RolloutWatchOptions;
  /** The configured one, with a gap that telemetry can keep. */
  readonly policy: RolloutPolicy;
  /** The gap of the policy, of the monotonic clock. */
  readonly #gapMs: number;
  /** By unit: since when its present step is measured. None after a change of servers: the bake begins anew then. */
  readonly #marks = new Map<number, { epoch: number; mark: Mark }>();

  constructor(options: RolloutWatchOptions) {
    const { config, clockRate } = options;
    this.#options = options;
    const telemetryGapMs = Math.max(config.rollout.telemetryGapMs, LEAST_GAP_MS * clockRate);
    this.policy = { ...config.rollout, telemetryGapMs };
    this.#gapMs = telemetryGapMs / clockRate;
  }

  /** From now on what happens is put down to this step. */
  begin({ id, epoch }: Flight): void {
    const { meter, clock } = this.#options;
    this.#drop(id);
    this.#marks.set(id, { epoch, mark: meter.mark(clock.monotonicMs(), this.#gapMs) });
  }

  watches(unit: number): boolean {
    return this.#marks.has(unit);
  }

  /** Forgets the steps that are none of these any more. */
  keepOnly(flights: readonly Flight[]): void {
    const flying = new Map(flights.map(({ id, epoch }) => [id, epoch]));
    for (const [unit, { epoch }] of this.#marks) if (flying.get(unit) !== epoch) this.#drop(unit);
  }

  #drop(unit: number): void {
    const known = this.#marks.get(unit);
    if (known !== undefined) this.#options.meter.drop(known.mark);
    this.#marks.delete(unit);
  }

  /** False where no telemetry is configured, or nothing bakes. */
  get #looks(): boolean {
    const { envoy, rollout } = this.#options.config;
    return envoy.admin.length > 0 && rollout.bakeMs > 0;
  }

  /** True while nothing can be seen of the fleet, so that a change could not be watched and would be taken back. */
  isBlind(): boolean {
    const { meter, clock } = this.#options;
    return this.#looks && meter.isBlind(clock.monotonicMs(), this.#gapMs);
  }

  /** Nodes whose telemetry is heard; null where none is configured, or nothing is watched. */
  nodes(): ReadonlySet<string> | null {
    const { meter, clock } = this.#options;
    return this.#looks ? meter.heardNodes(clock.monotonicMs(), this.#gapMs) : null;
  }

  /** Before an epoch goes out: how the services were doing. */
  before(services: readonly string[]): Record<string, Metrics> {
    const seen: Record<string, Metrics> = {};
    for (const name of services) {
      const { targets, objective } = this.#service(name);
      const metrics = this.#options.meter.lookBack(targets, objective, () => true);
      if (metrics !== null) seen[name] = metrics;
    }
    return seen;
  }

  observation(flight: Flight): Observation {
    const { meter, config, clock } = this.#options;
    const mark = this.#marks.get(flight.id)?.mark;
    if (mark === undefined) return { services: new Map(), nodes: null };
    const ahead = isPartial(flight) ? aheadOf(flight) : () => true;
    const services = new Map(
      flight.services.map(({ name }): [string, Seen] => {
        const { targets, objective } = this.#service(name);
        const of = (only: NodeFilter) => meter.since(mark, targets, objective, only);
        const untouched = isPartial(flight) ? of((node) => node !== null && !ahead(node)) : null;
        return [name, { after: of(ahead), before: flight.before[name] ?? null, untouched }];
      }),
    );
    const unseen = config.envoy.admin.length === 0 || flight.services.length === 0 || flight.unwatched === true;
    return { services, nodes: unseen ? null : meter.heard(mark, clock.monotonicMs(), this.#gapMs, ahead) };
  }

  #service(name: string) {
    const service = this.#options.config.services.get(name);
    return { targets: [...(service?.targets.keys() ?? [])], objective: service?.objective };
  }
}

function aheadOf(flight: Flight): NodeFilter {
  const end = BigInt(`0x${flight.upTo}`);
  return (node) => node !== null && positionOf(node) <= end;
}
