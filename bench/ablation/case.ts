import type { World } from "../../control/features/groups/world.ts";
import type { SeriesShape } from "../../control/features/series/shape.ts";

/** Data on which groups are tried: found (`found`), or seeded with an effect that is known (`world`). */
export interface Case {
  name: string;
  kind: "found" | "world";
  /** What was put in, or what the data is. */
  about: string;
  groups: readonly string[];
  shape: SeriesShape;
  world: World;
  /** Series of `world.loads` that are learnt and judged. */
  services: readonly string[];
}
