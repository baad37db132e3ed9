import { PPM } from "../plan/plan.ts";
import type { WeightTable } from "../table/table.ts";

export interface Reshuffle {
  /** Expected share of sessions that change their target, ppm. */
  sessionsPpm: number;
  /** How the figure came about, for people. */
  text: string;
}

/**
 * How many sessions a change sends to another target.
 *
 * - Both steer: exactly the slots that change their owner.
 * - observe ↔ steer: Envoy's own split and the table know nothing of each other, so a session that Envoy keeps on target i
 *   (share s_i) finds i in the table with probability q_i: 1 − Σ s_i·q_i of the sessions move. A route that keeps no
 *   sessions today has none to lose; then the figure is the share of requests that go elsewhere than before.
 */
export function reshuffle(
  before: WeightTable | null,
  after: WeightTable,
  staticPpm: ReadonlyMap<string, number>,
): Reshuffle {
  const beforeSteers = before !== null && !before.observe;
  if (!beforeSteers && after.observe) return { sessionsPpm: 0, text: "observed before and after: nothing moves" };
  if (beforeSteers && !after.observe) {
    const moved = movedSlots(before, after);
    return {
      sessionsPpm: Math.round((moved * PPM) / after.slots),
      text: `${moved} of ${after.slots} slots change their target`,
    };
  }
  const table = beforeSteers ? before : after;
  const stays = table.targets.reduce(
    (sum, target) => sum + ((staticPpm.get(target.name) ?? 0) / PPM) * (target.stickyQuota / table.slots),
    0,
  );
  return {
    sessionsPpm: Math.round((1 - stays) * PPM),
    text: beforeSteers
      ? "steering ends: sessions go where the route's own split puts them"
      : "steering begins: a session stays only where the table agrees with the route's own split by chance",
  };
}

/** What it would do to switch a service that is observed to steering by this table. */
export function reshuffleOfSwitch(table: WeightTable, staticPpm: ReadonlyMap<string, number>): Reshuffle {
  return reshuffle(null, { ...table, observe: false }, staticPpm);
}

/** Slots of `after` whose owner, by name, differs. M may have doubled in between. */
export function movedSlots(before: WeightTable, after: WeightTable): number {
  const ratio = after.slots / before.slots;
  let moved = 0;
  for (let slot = 0; slot < after.slots; slot++) {
    const was = before.targets[before.sticky[Math.floor(slot / ratio)]!]!.name;
    if (after.targets[after.sticky[slot]!]!.name !== was) moved += 1;
  }
  return moved;
}
