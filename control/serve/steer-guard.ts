import { BallastError } from "../../common/errors.ts";
import type { Actor } from "../checkpoint/record.ts";
import type { BallastConfig } from "../config/config.ts";
import { type Intended, type Mismatch, SteerWatch } from "../telemetry/steer-mismatch.ts";
import type { EnvoyAnswer } from "../telemetry/telemetry-window.ts";
import type { Changes } from "./changes.ts";
import type { InForce } from "./in-force.ts";

export const STEER_MISMATCH = "STEER_MISMATCH";
/** Author of the kill switch that a mismatch pulls. */
export const STEER_RULE: Actor = { kind: "rule", name: STEER_MISMATCH };
/** A switch that could not be pulled is tried again after so long. */
const RETRY_MS = 5_000;

export interface SteerGuardOptions {
  config: BallastConfig;
  inForce: () => InForce | null;
  nodes: () => readonly { id: string; connected: boolean; current: boolean; quarantine: unknown }[];
  killSwitch: Changes["killSwitch"];
  /** Told once for each mismatch, and of a switch that could not be pulled. */
  onError: (error: Error) => void;
}

/**
 * Watches services with `steering: header_name`. Where requests do not go where the filter picks, a service without sessions takes
 * the whole fleet to PASSTHROUGH: weights that land elsewhere are worse than Envoy's own. One with sessions only raises the
 * alarm, for a few busy sessions can move a share as far.
 */
export class SteerGuard {
  readonly #options: SteerGuardOptions;
  readonly #watch = new SteerWatch();
  #told = new Set<string>();
  #pulling: Promise<void> | null = null;
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(options: SteerGuardOptions) {
    this.#options = options;
  }

  /** One round of telemetry, at `nowMonotonicMs`. */
  add(answers: readonly EnvoyAnswer[], nowMonotonicMs: number): void {
    const { config, nodes, onError } = this.#options;
    const inForce = this.#options.inForce();
    const intended = inForce === null ? new Map<string, Intended>() : intendedShares(config, inForce, answers);
    const following = new Set(
      nodes().flatMap(({ id, connected, current, quarantine }) =>
        connected && current && quarantine === null ? [id] : [],
      ),
    );
    this.#watch.add(answers, inForce?.epoch ?? 0, intended, (node) => following.has(node));
    const found = this.#watch.mismatches();
    const key = ({ service, node }: Mismatch) => `${service} ${node}`;
    for (const one of found)
      if (!this.#told.has(key(one))) onError(new BallastError(STEER_MISMATCH, mismatchText(one)));
    this.#told = new Set(found.map(key));
    const stop = found.find(({ sessions }) => !sessions);
    if (stop !== undefined && this.#pulling === null && nowMonotonicMs >= this.#notBeforeMs) {
      this.#notBeforeMs = nowMonotonicMs + RETRY_MS;
      this.#pulling = this.#pull(stop);
    }
  }

  /** One for each service: the first Envoy that is off. */
  get mismatches(): readonly Mismatch[] {
    const first = new Map(
      this.#watch
        .mismatches()
        .reverse()
        .map((one) => [one.service, one]),
    );
    return [...first.values()].reverse();
  }

  /** Resolves when no switch is being pulled. */
  async stop(): Promise<void> {
    await this.#pulling;
  }

  async #pull(mismatch: Mismatch): Promise<void> {
    try {
      await this.#options.killSwitch({ on: true, author: STEER_RULE, reason: mismatchText(mismatch) });
    } catch (error) {
      this.#options.onError(error as Error);
    } finally {
      this.#pulling = null;
    }
  }
}

export function mismatchText({ service, node, target, intended, observed, requests }: Mismatch): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  return `${service}: at ${node} ${target} got ${percent(observed)} of ${requests} requests, the set gives it ${percent(intended)}`;
}

/**
 * Services whose requests can be judged: steered on the whole fleet, by header_name, with one share for all requests, and every
 * target that has a share healthy, for with `refresh_cluster_on_retry` the requests of a dead one go elsewhere by design.
 */
export function intendedShares(
  config: Pick<BallastConfig, "services">,
  { record, rest, tables, last }: Pick<InForce, "record" | "rest" | "tables" | "last">,
  answers: readonly EnvoyAnswer[],
): Map<string, Intended> {
  const found = new Map<string, Intended>();
  if (record.mode !== "steer" || rest !== null) return found;
  for (const { name, steering, sessions } of config.services.values()) {
    const table = tables.get(name);
    if (steering !== "header_name" || table === undefined || last.get(name)?.plan.mode !== "steer") continue;
    const { slots, targets } = table;
    const judged = targets.every(
      ({ name, orderQuota, stickyQuota, draining }) =>
        !draining && orderQuota === stickyQuota && (orderQuota === 0 || isHealthy(name, answers)),
    );
    if (!judged) continue;
    const shares = new Map(targets.map(({ name, orderQuota }) => [name, orderQuota / slots]));
    found.set(name, { shares, sessions: sessions !== null });
  }
  return found;
}

function isHealthy(target: string, answers: readonly EnvoyAnswer[]): boolean {
  return answers.every((answer) => {
    if ("reason" in answer) return true;
    const cluster = answer.clusters.get(target);
    return cluster !== undefined && cluster.healthyHosts > 0 && cluster.healthyHosts === cluster.totalHosts;
  });
}
