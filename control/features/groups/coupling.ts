import type { FeatureGroup, GroupColumn } from "./group.ts";
import type { Load, World } from "./world.ts";

/** Strongest neighbours that are looked at. */
const MAX_NEIGHBOURS = 16;
const WINDOWS = [1, 3, 12] as const;
const MAX_VALUE = 20;

const COLUMNS: readonly GroupColumn[] = [
  ...WINDOWS.map((window) => column(`coupling_residual_${window}`)),
  column("coupling_rise"),
  column("coupling_strongest"),
];

function column(name: string): GroupColumn {
  return { name, unit: "neighbour's seasonal difference", known: "late" };
}

/**
 * How far the loads of coupled services are from their own value one season before: the mean over neighbours by weight, over the
 * last 1, 3 and 12 steps, how it rises, and the largest of one neighbour. A caller's surge comes before that of what it calls.
 */
export const coupling: FeatureGroup = {
  name: "coupling",
  version: 1,
  fit: () => ({}),
  columns: () => COLUMNS,
  needs: () => ["loads", "neighbours"],
  prepare: (_, world, service) => {
    const neighbours = strongest(world, service);
    return ({ originMs, season, horizon, stepMs }) => {
      const values = new Float32Array(COLUMNS.length);
      let total = 0;
      for (const { load, weight } of neighbours) {
        const end = Math.floor((originMs - load.load.startMs) / stepMs);
        const [last, few, many] = WINDOWS.map((window) => load.residual(end, window, season, horizon)) as [
          number,
          number,
          number,
        ];
        if (!Number.isFinite(last + few + many)) continue;
        total += weight;
        values[0]! += weight * last;
        values[1]! += weight * few;
        values[2]! += weight * many;
        values[3]! += weight * (last - many);
        if (Math.abs(few) > Math.abs(values[4]!)) values[4] = few;
      }
      if (total > 0) for (let i = 0; i < 4; i++) values[i]! /= total;
      return (_, row, at) => {
        row.set(values, at);
      };
    };
  },
};

function strongest(world: World, service: string): { load: ScaledLoad; weight: number }[] {
  return [...(world.neighbours?.get(service) ?? [])]
    .sort((a, b) => b.weight - a.weight || (a.service < b.service ? -1 : 1))
    .slice(0, MAX_NEIGHBOURS)
    .flatMap(({ service: name, weight }) => {
      const load = world.loads?.get(name);
      return load === undefined || weight <= 0 ? [] : [{ load: new ScaledLoad(load), weight }];
    });
}

/** Seasonal differences of a load with their running mean, so that the unit at a step comes from the steps before it. */
class ScaledLoad {
  readonly load: Load;
  #season = 0;
  /** Sum and count of |y_t − y_{t−season}| of the steps before i. */
  #sums = new Float64Array(0);
  #counts = new Float64Array(0);

  constructor(load: Load) {
    this.load = load;
  }

  /** Mean seasonal difference of the `window` steps before `end`, in units of the running mean of its size; NaN without readings. */
  residual(end: number, window: number, season: number, horizon: number): number {
    const lag = season * Math.ceil(horizon / season);
    if (lag !== this.#season) this.#scaleBy(lag);
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
    this.#season = lag;
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
