import type { FeatureGroup, GroupColumn } from "./group.ts";
import { type LoadMoves, MOVE_WINDOWS, type MoveOrigin, ScaledLoad } from "./load-moves.ts";
import type { Neighbour, World } from "./world.ts";

/** Strongest neighbours that are looked at. */
const MAX_NEIGHBOURS = 16;

const COLUMNS: readonly GroupColumn[] = [
  ...MOVE_WINDOWS.map((window) => column(`coupling_residual_${window}`)),
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
    const neighbours = looked(world, service);
    return (origin) => {
      const values = new Float32Array(COLUMNS.length);
      let total = 0;
      for (const { weight, movesAt } of neighbours) {
        const [last, few, many] = movesAt(origin);
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

/** The neighbours of a service that are looked at, the strongest first. */
export function strongest(neighbours: readonly Neighbour[] | undefined): Neighbour[] {
  return [...(neighbours ?? [])]
    .sort((a, b) => b.weight - a.weight || (a.service < b.service ? -1 : 1))
    .slice(0, MAX_NEIGHBOURS)
    .filter(({ weight }) => weight > 0);
}

function looked(world: World, service: string): { weight: number; movesAt: (origin: MoveOrigin) => LoadMoves }[] {
  return strongest(world.neighbours?.get(service)).flatMap(({ service: name, weight }) => {
    const moves = world.moves?.get(name);
    if (moves !== undefined) return { weight, movesAt: () => moves };
    const load = world.loads?.get(name);
    if (load === undefined) return [];
    const scaled = new ScaledLoad(load);
    return { weight, movesAt: (origin) => scaled.movesAt(origin) };
  });
}
