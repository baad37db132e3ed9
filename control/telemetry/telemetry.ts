/** What is known of one target now, over all Envoys of the fleet. */
export interface TargetTelemetry {
  target: string;
  /** Hosts in load balancing, and all hosts whose state is known; each counted once per Envoy that knows it. */
  healthyHosts: number;
  totalHosts: number;
  /** Completed requests per second, mean over the last interval; null until two readings exist. */
  rps: number | null;
  /**
   * Seconds of the interval that `rps` gained in this round, mean over the Envoys: its weight in a mean of several rounds.
   * 0 where this round measured no new interval and `rps` is an earlier one. Absent: not known, every round weighs the same.
   */
  intervalS?: number;
  activeRequests: number;
  /** Upstream response time of the last interval; null where nothing completed (or Envoy's stats flush is still due). */
  p50Ms: number | null;
  p99Ms: number | null;
  /** 5xx and connection failures over completed requests in the last interval, 0 … 1; null without requests. */
  errorRatio: number | null;
}

export interface TelemetrySnapshot {
  /** Clock.monotonicMs() of the newest reading; the consumer judges staleness. −Infinity before the first reading. */
  atMonotonicMs: number;
  targets: ReadonlyMap<string, TargetTelemetry>;
  /** Admin endpoints that did not answer in this round, with the reason. */
  unreachable: readonly { url: string; reason: string }[];
}
