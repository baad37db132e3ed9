import { pinball } from "../scores/metrics.ts";

/** What one forecaster lost over one window of time, summed over the services of the window and the steps that were observed. */
export interface WindowLoss {
  /** Pinball loss per level, and observations at or below each; levels as given. */
  pinball: number[];
  covered: number[];
  /** |y − median|, and the same over each service's own seasonal scale, for MASE. */
  absolute: number;
  scaled: number;
}

export interface ScoredWindow {
  /** Origin, planning time. */
  atMs: number;
  /** Steps scored, the same for every forecaster; and Σ |y| over them. */
  steps: number;
  load: number;
  /** By name of the forecaster. */
  losses: Record<string, WindowLoss>;
}

/** One service at one origin: what each forecaster said, by name, [level][step]. */
export interface NotedService {
  service: string;
  /** Mean absolute seasonal difference of the service's past, > 0. */
  scale: number;
  said: Record<string, readonly ArrayLike<number>[]>;
}

export interface NotedWindow {
  atMs: number;
  stepMs: number;
  horizonSteps: number;
  /** Per forecaster. */
  levels: Record<string, readonly number[]>;
  services: readonly NotedService[];
}

/** What of a history is needed here. */
export interface Observed {
  tail(service: string, nowMs: number, steps: number): Float64Array;
}

/** Windows that wait for what happens; the oldest is dropped beyond. A window of an hour is noted once an hour. */
const MAX_WAITING = 4;

/**
 * Holds forecasts until what they spoke of has happened, then scores all of them on the same steps. Windows follow each other without overlap,
 * so that their scores are apart. Bounded: MAX_WAITING windows of the services that the caller notes.
 */
export class OutcomeBook {
  #waiting: NotedWindow[] = [];
  #nextAtMs = Number.NEGATIVE_INFINITY;

  /** Whether a window that begins at `atMs` would be noted. */
  wants(atMs: number): boolean {
    return atMs >= this.#nextAtMs;
  }

  note(window: NotedWindow): void {
    if (!this.wants(window.atMs)) return;
    this.#nextAtMs = window.atMs + window.horizonSteps * window.stepMs;
    this.#waiting.push(window);
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
  }

  /** Scores the windows whose last step is complete at `nowMs`, oldest first. A window without any observation is dropped. */
  due(history: Observed, nowMs: number): ScoredWindow[] {
    const ends = ({ atMs, stepMs, horizonSteps }: NotedWindow): number => atMs + stepMs * horizonSteps;
    const due = this.#waiting.filter((window) => ends(window) <= nowMs);
    this.#waiting = this.#waiting.filter((window) => ends(window) > nowMs);
    return due.map((window) => score(window, history)).filter(({ steps }) => steps > 0);
  }

  /** Forgets what waits: forecasts of a model that is gone. */
  clear(): void {
    this.#waiting = [];
    this.#nextAtMs = Number.NEGATIVE_INFINITY;
  }
}

function score({ atMs, stepMs, horizonSteps, levels, services }: NotedWindow, history: Observed): ScoredWindow {
  const losses: Record<string, WindowLoss> = {};
  for (const [name, own] of Object.entries(levels))
    losses[name] = { pinball: own.map(() => 0), covered: own.map(() => 0), absolute: 0, scaled: 0 };
  const names = Object.keys(levels);
  let steps = 0;
  let load = 0;
  for (const { service, scale, said } of services) {
    // Where one of them said nothing, none is scored.
    if (names.some((name) => said[name] === undefined)) continue;
    const actual = history.tail(service, atMs + stepMs * horizonSteps, horizonSteps);
    for (let h = 0; h < horizonSteps; h++) {
      const y = actual[h]!;
      if (!Number.isFinite(y)) continue;
      steps++;
      load += Math.abs(y);
      for (const name of names) {
        const own = levels[name]!;
        const loss = losses[name]!;
        const middle = nearestToMedian(own);
        for (let i = 0; i < own.length; i++) {
          const value = said[name]![i]![h]!;
          loss.pinball[i]! += pinball(own[i]!, y, value);
          if (y <= value) loss.covered[i]!++;
          if (i !== middle) continue;
          loss.absolute += Math.abs(y - value);
          loss.scaled += Math.abs(y - value) / scale;
        }
      }
    }
  }
  return { atMs, steps, load, losses };
}

function nearestToMedian(levels: readonly number[]): number {
  let best = 0;
  for (let i = 1; i < levels.length; i++) if (Math.abs(levels[i]! - 0.5) < Math.abs(levels[best]! - 0.5)) best = i;
  return best;
}

/** Scores over many windows. NaN without any. */
export interface WindowScores {
  windows: number;
  steps: number;
  mase: number;
  /** Mean over the levels asked for of twice the pinball loss over the load. */
  wql: number;
  /** Share observed at or below each of the forecaster's own levels. */
  coverage: number[];
}

/** @param levels of the forecaster @param common levels that wQL is taken over, so that forecasters with others can be compared */
export function summarise(
  windows: readonly ScoredWindow[],
  name: string,
  levels: readonly number[],
  common: readonly number[] = levels,
): WindowScores {
  let steps = 0;
  let load = 0;
  let scaled = 0;
  const loss = levels.map(() => 0);
  const covered = levels.map(() => 0);
  let count = 0;
  for (const window of windows) {
    const own = window.losses[name];
    if (own === undefined) continue;
    count++;
    steps += window.steps;
    load += window.load;
    scaled += own.scaled;
    for (let i = 0; i < levels.length; i++) {
      loss[i]! += own.pinball[i]!;
      covered[i]! += own.covered[i]!;
    }
  }
  const used = levels.flatMap((level, i) => (common.includes(level) ? [(2 * loss[i]!) / load] : []));
  return {
    windows: count,
    steps,
    mase: scaled / steps,
    wql: used.reduce((sum, value) => sum + value, 0) / used.length,
    coverage: covered.map((n) => n / steps),
  };
}
