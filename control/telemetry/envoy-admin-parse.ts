/**
 * Reads Envoy's admin answers: `/clusters?format=json` (envoy.admin.v3.Clusters) and
 * `/stats?format=json&histogram_buckets=detailed`. Everything comes from outside: shapes are checked field by field, what does
 * not fit is skipped, counts are bounded, and names only ever become keys of Maps.
 */

export const MAX_CLUSTERS = 10_000;
export const MAX_HOSTS_PER_CLUSTER = 10_000;
export const MAX_BINS = 4_096;
const maxNameLength = 512;

/** `node.id` of an answer to `/server_info` (envoy.admin.v3.ServerInfo); null when there is none. */
export function parseNodeId(body: unknown): string | null {
  return text(field(field(body, "node"), "id"));
}

export interface ClusterHealth {
  healthyHosts: number;
  totalHosts: number;
  /** What the cluster is called in statistics: `alt_stat_name` or the name, with `:` as `_`. */
  statName: string;
}

export interface Bin {
  lowMs: number;
  widthMs: number;
  count: number;
}

export interface ClusterStats {
  /** Requests with a response, Envoy's own 503s included (`upstream_rq_total` lacks those that got no connection). */
  completed: number;
  errors5xx: number;
  /** Requests that failed because their connection did; most of them also count as a 503, those retried do not. */
  ejected: number;
  active: number;
  /** Cumulative latency histogram by lower bound, ms; empty before the first request was merged (stats flush, 5 s). */
  latency: Map<number, Bin>;
}

/** Null when the answer is not a cluster list at all. */
export function parseClusters(body: unknown): Map<string, ClusterHealth> | null {
  const statuses = field(body, "cluster_statuses");
  // Protobuf's JSON leaves an empty list out: an Envoy without clusters answers {}.
  if (statuses === undefined && isObject(body)) return new Map();
  if (!Array.isArray(statuses)) return null;
  const clusters = new Map<string, ClusterHealth>();
  for (const status of statuses.slice(0, MAX_CLUSTERS)) {
    const name = text(field(status, "name"));
    if (name === null) continue;
    const alias = text(field(status, "observability_name")) ?? name;
    const health: ClusterHealth = { healthyHosts: 0, totalHosts: 0, statName: alias.replaceAll(":", "_") };
    const hosts = field(status, "host_statuses");
    for (const host of Array.isArray(hosts) ? hosts.slice(0, MAX_HOSTS_PER_CLUSTER) : []) {
      const verdict = hostVerdict(field(host, "health_status"));
      if (verdict !== "pending") health.totalHosts++;
      if (verdict === "healthy") health.healthyHosts++;
    }
    clusters.set(name, health);
  }
  return clusters;
}

/** Flags of envoy.admin.v3.HostHealthStatus that take a host out of load balancing. Degraded hosts still serve. */
const failedFlags = [
  "failed_active_health_check",
  "failed_outlier_check",
  "pending_dynamic_removal",
  "exclude_via_immediate_hc_fail",
  "active_hc_timeout",
];

function hostVerdict(status: unknown): "healthy" | "failed" | "pending" {
  if (field(status, "pending_active_hc") === true) return "pending";
  if (failedFlags.some((flag) => field(status, flag) === true)) return "failed";
  const eds = field(status, "eds_health_status");
  return eds === "UNHEALTHY" || eds === "DRAINING" || eds === "TIMEOUT" ? "failed" : "healthy";
}

/** The statistics asked for; Envoy's filter is a RE2 expression on the full name. */
export const STATS_FILTER =
  "^(server\\.uptime|cluster\\..+\\.upstream_rq_(time|completed|5xx|active|pending_failure_eject))$";

export interface ParsedStats {
  /** Seconds since Envoy started; null when absent. It rises only at Envoy's stats flush. */
  uptimeS: number | null;
  clusters: Map<string, ClusterStats>;
}

/**
 * Statistics of the clusters of `statNames`; null when the answer has no list of statistics. Names are matched whole, so a
 * cluster whose name has dots, or ends like another's (`a` and `a.external`), is never mixed up. A counter that Envoy does
 * not list has not been used and is 0.
 */
export function parseStats(body: unknown, statNames: Iterable<string>): ParsedStats | null {
  const stats = field(body, "stats");
  if (!Array.isArray(stats)) return null;
  const numbers = new Map<string, number>();
  const histograms = new Map<string, unknown>();
  for (const stat of stats) {
    const name = text(field(stat, "name"));
    const value = amount(field(stat, "value"));
    if (name !== null && value !== null) numbers.set(name, value);
    const details = field(field(stat, "histograms"), "details");
    for (const histogram of Array.isArray(details) ? details : []) {
      const of = text(field(histogram, "name"));
      if (of !== null) histograms.set(of, field(histogram, "totals"));
    }
  }
  const clusters = new Map<string, ClusterStats>();
  for (const statName of statNames) {
    const count = (stat: string): number => numbers.get(`cluster.${statName}.${stat}`) ?? 0;
    clusters.set(statName, {
      completed: count("upstream_rq_completed"),
      errors5xx: count("upstream_rq_5xx"),
      ejected: count("upstream_rq_pending_failure_eject"),
      active: count("upstream_rq_active"),
      latency: parseBins(histograms.get(`cluster.${statName}.upstream_rq_time`)),
    });
  }
  return { uptimeS: numbers.get("server.uptime") ?? null, clusters };
}

function parseBins(totals: unknown): Map<number, Bin> {
  const bins = new Map<number, Bin>();
  for (const bin of Array.isArray(totals) ? totals.slice(0, MAX_BINS) : []) {
    const lowMs = amount(field(bin, "lower_bound"));
    const widthMs = amount(field(bin, "width"));
    const count = amount(field(bin, "count"));
    if (lowMs !== null && widthMs !== null && count !== null) bins.set(lowMs, { lowMs, widthMs, count });
  }
  return bins;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function field(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" && value.length <= maxNameLength ? value : null;
}

/** A finite number ≥ 0; Envoy writes 64-bit values as strings in some answers. */
function amount(value: unknown): number | null {
  const number = typeof value === "string" && /^[0-9]{1,20}$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) && number >= 0 ? number : null;
}
