import type { Metrics, Objective } from "./metrics.ts";

/**
 * Lower end of the Wilson score interval of a proportion (E. B. Wilson, JASA 22, 1927): what the true share is at least. With few
 * requests the interval is wide, so one failure among twenty proves nothing and no least number of requests is needed.
 */
export function atLeast(hits: number, of: number, z: number): number {
  if (of === 0) return 0;
  const p = hits / of;
  const z2 = (z * z) / of;
  return Math.max(0, (p + z2 / 2 - z * Math.sqrt((p * (1 - p)) / of + z2 / (4 * of))) / (1 + z2));
}

/**
 * Standard deviations, and least failures. A step is looked at twice a second from its first request on, so what is rare in one look
 * is not in a bake: of services at half their objective, 1.96 without a least takes back 10 % in 5 min at 10 requests a second, 3 takes
 * 2 %, and 3 with five failures 0.1 %. Of 20 % failures it hears after 2.5 s (median), of 5 % after 10 s.
 */
const Z = 3;
const LEAST_HITS = 5;
/** Fewer requests before, or at untouched nodes, say nothing of what is usual. */
const LEAST_REFERENCE = 20;

export interface Seen {
  after: Metrics;
  /** Over as long a time before the change; null when it was not seen. */
  before: Metrics | null;
  /** Over the same time at nodes that the change has not reached; null where there are none. */
  untouched: Metrics | null;
}

/**
 * Why a step breaches a service's objective, or null. It does when the share of failed (or slow) requests is above what the
 * objective allows, above what it was before and above that of untouched nodes: what was as bad without the change, the change
 * did not do. Pure.
 */
export function breachOf(objective: Objective, seen: Seen): string | null {
  const errors = above(objective.errorsPpm / 1e6, seen, (m) => [m.failed, m.requests]);
  if (errors !== null) return `${errors} failed, the objective is ${percent(objective.errorsPpm / 1e6)}`;
  if (objective.latencyMs === null) return null;
  const slow = above(1 - objective.quantile, seen, (m) => [m.slow, m.timed]);
  if (slow === null) return null;
  return `${slow} slower than ${objective.latencyMs} ms, the objective is p${(100 * objective.quantile).toFixed(1).replace(".0", "")} within it`;
}

function above(allowed: number, seen: Seen, share: (metrics: Metrics) => [number, number]): string | null {
  const [hits, of] = share(seen.after);
  const least = atLeast(hits, of, Z);
  if (hits < LEAST_HITS || least <= allowed) return null;
  const references: string[] = [];
  for (const [name, metrics] of [
    ["before", seen.before],
    ["at untouched nodes", seen.untouched],
  ] as const) {
    const [refHits, refOf] = metrics === null ? [0, 0] : share(metrics);
    if (refOf < LEAST_REFERENCE) continue;
    if (least <= refHits / refOf) return null;
    references.push(`${percent(refHits / refOf)} ${name}`);
  }
  const compared = references.length === 0 ? "" : ` (${references.join(", ")})`;
  return `${hits.toFixed(0)} of ${of.toFixed(0)} requests${compared}`;
}

/** One line on what was seen, for the record. */
export function seenText({ after, before, untouched }: Seen): string {
  const one = ({ requests, failed, quantileMs }: Metrics) =>
    `${failed} of ${requests} failed${quantileMs === null ? "" : `, ${quantileMs.toFixed(0)} ms`}`;
  const parts = [one(after)];
  if (before !== null) parts.push(`before ${one(before)}`);
  if (untouched !== null) parts.push(`untouched ${one(untouched)}`);
  return parts.join("; ");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2).replace(/\.?0+$/, "")} %`;
}
