/** What was seen of one service over a span, summed over its targets and over Envoys. */
export interface Metrics {
  /** Requests with a response, Envoy's own 503s included. */
  requests: number;
  /** 5xx and connection failures. */
  failed: number;
  /** Responses whose time is known, and those slower than the objective's latency. */
  timed: number;
  slow: number;
  /** Response time at the objective's quantile, ms; null without timed responses. */
  quantileMs: number | null;
}

export const NOTHING_SEEN: Metrics = { requests: 0, failed: 0, timed: 0, slow: 0, quantileMs: null };

/** What a service has promised. */
export interface Objective {
  /** Share of failed requests, ppm. */
  errorsPpm: number;
  /** Response time at `quantile`, ms; null: none is promised. */
  latencyMs: number | null;
  /** Between 0 and 1. */
  quantile: number;
}
