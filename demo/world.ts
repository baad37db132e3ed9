import type { TargetWindow } from "../control/estate/estate.ts";

/** A span of planning time, end excluded. */
export interface Outage {
  startMs: number;
  endMs: number;
}

/** When the work that the calendar announces really takes a target out of service. A freeze stops nothing. */
export function outagesOf(windows: readonly TargetWindow[]): Outage[] {
  return windows.filter((window) => window.kind !== "freeze" && window.remaining === 0);
}

/**
 * The demo's world: it does to the targets what the change calendar says will be done to them, and knows nothing of plans.
 * `tick` is to be called often; it stops a target when one of its outages begins and starts it when the last has ended.
 */
export class World {
  readonly #outages: ReadonlyMap<string, readonly Outage[]>;
  readonly #down = new Set<string>();

  constructor(outages: ReadonlyMap<string, readonly Outage[]>) {
    this.#outages = outages;
  }

  /** What to do now, at planning time `nowMs`. Each change is told once. */
  tick(nowMs: number): { stop: string[]; start: string[] } {
    const stop: string[] = [];
    const start: string[] = [];
    for (const [target, outages] of this.#outages) {
      const out = outages.some((outage) => outage.startMs <= nowMs && nowMs < outage.endMs);
      if (out === this.#down.has(target)) continue;
      if (out) {
        this.#down.add(target);
        stop.push(target);
      } else {
        this.#down.delete(target);
        start.push(target);
      }
    }
    return { stop, start };
  }

  isDown(target: string): boolean {
    return this.#down.has(target);
  }
}
