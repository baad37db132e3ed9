import { LocalClock } from "../../control/features/groups/local-time.ts";
import type { World } from "../../control/features/groups/world.ts";
import type { TrainingSeries } from "../../control/features/series/training-examples.ts";

const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/**
 * The loads of a world as series to learn from, sliced for the gate by weekday (in the world's zone), by whether a change or incident
 * of the service holds at the step where its estate is known, and by the service's tier where `tiers` are.
 * @param tiers by service, 1 (most critical) to 4
 */
export function demandSeries(world: World, tiers?: ReadonlyMap<string, number>): TrainingSeries[] {
  const clock = new LocalClock(world.timeZone);
  return [...(world.loads ?? [])].map(([name, { startMs, values }]) => {
    const windows = world.windows?.get(name)?.filter(({ kind }) => kind !== "freeze");
    const tier = tiers?.get(name);
    return {
      name,
      values,
      slices: (step) => {
        const at = startMs + step * world.stepMs;
        const slices: Record<string, string> = { weekday: WEEKDAYS[clock.at(at).weekday]! };
        if (world.windows !== undefined)
          slices.change = (windows ?? []).some((one) => one.startMs <= at && at < one.endMs) ? "yes" : "no";
        if (tiers !== undefined) slices.tier = tier === undefined ? "unknown" : String(tier);
        return slices;
      },
    };
  });
}
