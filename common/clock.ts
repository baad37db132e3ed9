/** The only source of time for pure code. Tests and the demo put their own in its place. */
export interface Clock {
  /** Planning time in milliseconds since the Unix epoch: the calendar that estate windows live on. */
  nowMs(): number;
  /** Monotonic milliseconds of this process; only differences mean anything. Never virtual. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/**
 * A calendar that starts at `startMs` when the wall clock reads `anchorMs` and runs `rate` times as fast.
 * The anchor is wall time so that a restarted process finds the same virtual now.
 */
export function virtualClock(options: {
  startMs: number;
  anchorMs: number;
  rate: number;
  wallMs?: () => number;
}): Clock {
  const { startMs, anchorMs, rate } = options;
  const wallMs = options.wallMs ?? Date.now;
  return {
    nowMs: () => startMs + (wallMs() - anchorMs) * rate,
    monotonicMs: () => performance.now(),
  };
}
