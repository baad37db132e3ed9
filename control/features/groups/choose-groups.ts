import type { FeatureGroup } from "./group.ts";
import { GROUPS } from "./grouped-inputs.ts";
import type { World } from "./world.ts";
import worth from "./worth.json" with { type: "json" };

/** One measurement of the ablation benchmark: a model with the group against the same without it. */
export interface Worth {
  group: string;
  /** Name of the data that it was measured on. */
  on: string;
  /** found: data that was not made for this. world: seeded, the effect is put in, so it shows that the group can see what is there. */
  kind: "found" | "world";
  /** Change of wQL in percent and its 95 % bootstrap interval; below nought = better with the group. */
  wqlPercent: number;
  interval: [number, number];
}

/**
 * A group is in a model by default when it helped somewhere and hurt nowhere, each by its whole interval. Found data decides where there
 * is some; a world, which was made to have the effect, only where there is none.
 */
export function isOnByDefault(group: string, measured: readonly Worth[]): boolean {
  const own = measured.filter((one) => one.group === group);
  const found = own.filter(({ kind }) => kind === "found");
  const deciding = found.length > 0 ? found : own;
  return deciding.some(({ interval }) => interval[1] < 0) && !own.some(({ interval }) => interval[0] > 0);
}

/** What the committed run of `npm run -s bench -- ablation` measured; it writes the file. */
export const MEASURED = worth as Worth[];
export const DEFAULT_GROUPS: readonly string[] = GROUPS.map(({ name }) => name).filter((name) =>
  isOnByDefault(name, MEASURED),
);

/** The groups that a world has something for. Calendar and velocity need nothing but the series. */
export function possibleGroups(world: World): FeatureGroup[] {
  const any = (of: ReadonlyMap<string, { length: number }> | undefined): boolean =>
    [...(of?.values() ?? [])].some(({ length }) => length > 0);
  const needs: Record<string, boolean> = {
    calendar: true,
    coupling: any(world.neighbours),
    change: any(world.windows),
    velocity: true,
    behaviour: any(world.visits),
    signals: (world.signals?.length ?? 0) > 0,
  };
  return GROUPS.filter(({ name }) => needs[name]);
}
