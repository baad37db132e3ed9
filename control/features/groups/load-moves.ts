import type { Load } from "./world.ts";

/** Steps that a move is the mean over. */
export const MOVE_WINDOWS = [1, 3, 12] as const;
const MAX_VALUE = 20;

/** Of a load at one origin, per MOVE_WINDOWS: how far it is from its own value one season before. NaN without readings. */
export type LoadMoves = readonly [last: number, few: number, many: number];

/** Where an origin lies and how far back its season is. */
export interface MoveOrigin {
  originMs: number;
  season: number;
  horizon: number;
  stepMs: number;
}

/** Seasonal differences of a load with their running mean, so that the unit at a step comes from the steps before it. */
export class ScaledLoad {
  readonly load: Load;
  #lag = 0;
  /** Sum and count of |y_t − y_{t−lag}| of the steps before i. */
  #sums = new Float64Array(0);
  #counts = new Float64Array(0);

  constructor(load: Load) {
    this.load = load;
  }

  movesAt({ originMs, season, horizon, stepMs }: MoveOrigin): LoadMoves {
    const end = Math.floor((originMs - this.load.startMs) / stepMs);
    const lag = season * Math.ceil(horizon / season);
    return MOVE_WINDOWS.map((window) => this.#residual(end, window, lag)) as unknown as LoadMoves;
  }

  /** Mean seasonal difference of the `window` steps before `end`, in units of the running mean of its size. */
  #residual(end: number, window: number, lag: number): number {
    if (lag !== this.#lag) this.#scaleBy(lag);
    const { values } = this.load;
    if (end < lag + window || end > values.length) return Number.NaN;
    let sum = 0;
    let count = 0;
    for (let i = end - window; i < end; i++) {
      const difference = values[i]! - values[i - lag]!;
      if (!Number.isFinite(difference)) continue;
      sum += difference;
      count++;
    }
    const scale = this.#sums[end]! / this.#counts[end]!;
    if (count === 0 || !(scale > 0)) return Number.NaN;
    return Math.max(-MAX_VALUE, Math.min(MAX_VALUE, sum / count / scale));
  }

  #scaleBy(lag: number): void {
    const { values } = this.load;
    this.#lag = lag;
    this.#sums = new Float64Array(values.length + 1);
    this.#counts = new Float64Array(values.length + 1);
    for (let i = 0; i < values.length; i++) {
      const difference = i < lag ? Number.NaN : Math.abs(values[i]! - values[i - lag]!);
      const known = Number.isFinite(difference);
      this.#sums[i + 1] = this.#sums[i]! + (known ? difference : 0);
      this.#counts[i + 1] = this.#counts[i]! + (known ? 1 : 0);
    }
  }
}
