/** What is known of one target now, over all Envoys of the fleet. */
export interface TargetTelemetry {
  target: string;
  healthyHosts: number;
  totalHosts: number;
  /** Mean over the last interval; null until two readings exist. */
  rps: number | null;
  activeRequests: number;
  p50Ms: number | null;
  p99Ms: number | null;
  /** 5xx and connection failures over requests in the last interval, 0 … 1. */
  errorRatio: number | null;
}

export interface TelemetrySnapshot {
  /** Clock.monotonicMs() of the newest reading; the consumer judges staleness. */
  atMonotonicMs: number;
  targets: ReadonlyMap<string, TargetTelemetry>;
  /** Admin endpoints that did not answer in this round, with the reason. */
  unreachable: readonly { url: string; reason: string }[];
}
