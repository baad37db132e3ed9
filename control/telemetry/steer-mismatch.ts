import { type EnvoyAnswer, type EnvoyReading, hasRestarted } from "./telemetry-window.ts";

/** Requests of a service at one Envoy that one comparison needs. */
export const MIN_REQUESTS = 1_000;
/** A target's share of requests may differ from its share of the set by so much, 0 … 1. */
export const MAX_APART = 0.02;
/** So many comparisons in a row must fail: a scrape beside a change must not stop a fleet. */
export const CONFIRMATIONS = 2;
/** With more failures than this, 0 … 1, retries count requests twice or elsewhere, and shares prove nothing. */
const MAX_FAILED = 0.01;
/** Sessions fall on slots by chance, and bring several requests each: so many standard deviations are left to them. */
const SESSION_DEVIATIONS = 4;

/** What a service's set intends for requests, by target; 0 … 1, summing to 1. */
export interface Intended {
  shares: ReadonlyMap<string, number>;
  /** Requests carry sessions: their shares are drawn, and not counted out. */
  sessions: boolean;
}

export interface Mismatch {
  service: string;
  /** The Envoy, by its node.id. */
  node: string;
  /** The target that is furthest off. */
  target: string;
  intended: number;
  observed: number;
  /** Requests compared. */
  requests: number;
  sessions: boolean;
}

interface Tally {
  picked: Map<string, number>;
  failed: number;
  inARow: number;
  verdict: Mismatch | null;
}

/** What is known of one Envoy in this epoch. */
interface Endpoint {
  /** Where the next interval begins; null: heard of once in this epoch. */
  base: EnvoyReading | null;
  /** By service. */
  tallies: Map<string, Tally>;
}

/**
 * Compares, at each Envoy, what the filter was told to pick with what each cluster got, for services whose picks Envoy translates
 * (header_name): an edited route moves the intervals of its weights without a word. Each Envoy apart, because an edit reaches one
 * after the other, and one of ten would be lost in the sum. Pure: time comes with the readings.
 *
 * A request counts when it is sent: completed + active, so that a slow target does not look neglected. The first reading of
 * an Envoy in an epoch may be from before it, so the second one is where counting begins.
 */
export class SteerWatch {
  #epoch = 0;
  /** By URL. */
  readonly #endpoints = new Map<string, Endpoint>();

  /**
   * One round. `intended` holds the services to judge under `epoch`; `follows` says whether a node uses that epoch. A service that
   * is left out begins anew. Bounded by the endpoints that are polled and the services given.
   */
  add(
    answers: readonly EnvoyAnswer[],
    epoch: number,
    intended: ReadonlyMap<string, Intended>,
    follows: (node: string) => boolean,
  ): void {
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#endpoints.clear();
    }
    for (const { tallies } of this.#endpoints.values()) {
      for (const name of tallies.keys()) if (!intended.has(name)) tallies.delete(name);
    }
    for (const answer of answers) {
      if ("reason" in answer) continue;
      const { url, node } = answer;
      if (node === null || !follows(node)) {
        this.#endpoints.delete(url);
        continue;
      }
      const endpoint = this.#endpoints.get(url);
      if (endpoint === undefined) this.#endpoints.set(url, { base: null, tallies: new Map() });
      else if (endpoint.base === null || hasRestarted(endpoint.base, answer)) {
        this.#endpoints.set(url, { base: answer, tallies: new Map() });
      } else if (answer.atMonotonicMs > endpoint.base.atMonotonicMs) {
        for (const [name, one] of intended) {
          const tally = count(endpoint, name, one.shares.keys(), answer);
          judge(tally, name, node, one);
        }
        endpoint.base = answer;
      }
    }
  }

  /** Services whose requests have gone elsewhere in the last comparisons, one entry for each Envoy. */
  mismatches(): Mismatch[] {
    return [...this.#endpoints.values()].flatMap(({ tallies }) =>
      [...tallies.values()].flatMap(({ verdict }) => (verdict === null ? [] : [verdict])),
    );
  }
}

function count({ base, tallies }: Endpoint, service: string, targets: Iterable<string>, reading: EnvoyReading): Tally {
  const tally = tallies.get(service) ?? { picked: new Map<string, number>(), failed: 0, inARow: 0, verdict: null };
  tallies.set(service, tally);
  for (const target of targets) {
    const [then, now] = [base?.clusters.get(target)?.stats, reading.clusters.get(target)?.stats];
    if (then === undefined || now === undefined) continue;
    const sent = now.completed + now.active - then.completed - then.active;
    tally.picked.set(target, (tally.picked.get(target) ?? 0) + sent);
    tally.failed += Math.max(now.errors5xx - then.errors5xx, now.ejected - then.ejected, 0);
  }
  return tally;
}

function judge(tally: Tally, service: string, node: string, { shares, sessions }: Intended): void {
  const requests = [...tally.picked.values()].reduce((sum, sent) => sum + sent, 0);
  if (requests < MIN_REQUESTS) return;
  if (tally.failed <= MAX_FAILED * requests) {
    const worst = furthest(shares, tally.picked, requests, sessions);
    tally.inARow = worst === null ? 0 : tally.inARow + 1;
    if (worst === null) tally.verdict = null;
    else if (tally.inARow >= CONFIRMATIONS) tally.verdict = { service, node, ...worst, requests, sessions };
  }
  tally.picked.clear();
  tally.failed = 0;
}

/** The target whose share is furthest beyond what is allowed; null when none is. */
function furthest(
  shares: ReadonlyMap<string, number>,
  picked: ReadonlyMap<string, number>,
  requests: number,
  sessions: boolean,
): Pick<Mismatch, "target" | "intended" | "observed"> | null {
  let worst: Pick<Mismatch, "target" | "intended" | "observed"> | null = null;
  let most = 0;
  for (const [target, intended] of shares) {
    const observed = (picked.get(target) ?? 0) / requests;
    const chance = sessions ? SESSION_DEVIATIONS * Math.sqrt((intended * (1 - intended)) / requests) : 0;
    const beyond = Math.abs(observed - intended) - MAX_APART - chance;
    if (beyond > most) [most, worst] = [beyond, { target, intended, observed }];
  }
  return worst;
}
