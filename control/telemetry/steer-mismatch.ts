import { type EnvoyAnswer, type EnvoyReading, hasRestarted } from "./telemetry-window.ts";

/** Requests of a service that one comparison needs. */
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

/**
 * Compares what the filter was told to pick with what each cluster got, for services whose picks Envoy translates (header_name):
 * an edited route moves the intervals of its weights without a word. Pure: time comes with the readings.
 *
 * A request counts when it is sent: completed + active, so that a slow target does not look neglected. The first reading of
 * an Envoy in an epoch may be from before it, so the second one is where counting begins.
 */
export class SteerWatch {
  #epoch = 0;
  readonly #tallies = new Map<string, Tally>();
  /** By URL; null: heard of once in this epoch. */
  readonly #bases = new Map<string, EnvoyReading | null>();

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
      this.#tallies.clear();
      this.#bases.clear();
    }
    for (const name of this.#tallies.keys()) if (!intended.has(name)) this.#tallies.delete(name);
    for (const answer of answers) {
      if ("reason" in answer) continue;
      if (answer.node === null || !follows(answer.node)) {
        this.#bases.delete(answer.url);
        continue;
      }
      const base = this.#bases.get(answer.url);
      if (base === undefined) this.#bases.set(answer.url, null);
      else if (base === null || hasRestarted(base, answer)) this.#bases.set(answer.url, answer);
      else if (answer.atMonotonicMs > base.atMonotonicMs) {
        for (const [name, { shares }] of intended) this.#count(name, shares.keys(), base, answer);
        this.#bases.set(answer.url, answer);
      }
    }
    for (const [name, one] of intended) this.#judge(name, one);
  }

  /** Services whose requests have gone elsewhere in the last comparisons. */
  mismatches(): Mismatch[] {
    return [...this.#tallies.values()].flatMap(({ verdict }) => (verdict === null ? [] : [verdict]));
  }

  #count(service: string, targets: Iterable<string>, base: EnvoyReading, reading: EnvoyReading): void {
    let tally = this.#tallies.get(service);
    if (tally === undefined) {
      tally = { picked: new Map(), failed: 0, inARow: 0, verdict: null };
      this.#tallies.set(service, tally);
    }
    for (const target of targets) {
      const [then, now] = [base.clusters.get(target)?.stats, reading.clusters.get(target)?.stats];
      if (then === undefined || now === undefined) continue;
      const sent = now.completed + now.active - then.completed - then.active;
      tally.picked.set(target, (tally.picked.get(target) ?? 0) + sent);
      tally.failed += Math.max(now.errors5xx - then.errors5xx, now.ejected - then.ejected, 0);
    }
  }

  #judge(service: string, { shares, sessions }: Intended): void {
    const tally = this.#tallies.get(service);
    if (tally === undefined) return;
    const requests = [...tally.picked.values()].reduce((sum, sent) => sum + sent, 0);
    if (requests < MIN_REQUESTS) return;
    if (tally.failed <= MAX_FAILED * requests) {
      const worst = furthest(shares, tally.picked, requests, sessions);
      tally.inARow = worst === null ? 0 : tally.inARow + 1;
      if (worst === null) tally.verdict = null;
      else if (tally.inARow >= CONFIRMATIONS) tally.verdict = { service, ...worst, requests, sessions };
    }
    tally.picked.clear();
    tally.failed = 0;
  }
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
