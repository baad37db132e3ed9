import { changes } from "../change/judge.ts";
import type { PlannedService } from "../plan/plan.ts";
import { partialFlight, type RolloutState } from "../rollout/flight.ts";
import { isProtective } from "../rollout/way.ts";
import type { WeightTable } from "../table/table.ts";
import type { InForce } from "./in-force.ts";

export interface NextSet {
  services: PlannedService[];
  /** What the next tables are built from. */
  tables: ReadonlyMap<string, WeightTable>;
  /** Only what must leave moves. */
  protective: boolean;
}

/** What most of the fleet uses (`Rollouts.baseline`), and what is in flight. */
export interface Standing {
  readonly state: RolloutState;
  baseline(inForce: InForce): { plans: Map<string, PlannedService>; tables: Map<string, WeightTable> };
}

/**
 * The next epoch's plans, from those that may go out (`wantedOf`, held against the baseline). Pure.
 *
 * What must leave goes out alone, for it waits for no cohort; the others follow with the next tick. A unit that is ahead on a part
 * of the fleet stays as it is unless one of its services must move: then all of it goes back to the baseline first.
 */
export function nextSet(
  wanted: readonly PlannedService[],
  emergency: boolean,
  inForce: InForce | null,
  standing: Standing,
): NextSet {
  if (inForce === null) return { services: [...wanted], tables: new Map(), protective: false };
  const baseline = standing.baseline(inForce);
  const moves = wanted.filter((plan) => {
    const was = baseline.plans.get(plan.name);
    return was === undefined || changes(plan, was);
  });
  const leaving = moves.filter((plan) => {
    const was = baseline.plans.get(plan.name);
    return was !== undefined && isProtective(plan, was);
  });
  const protective = emergency || leaving.length > 0;
  const going = new Set((emergency || leaving.length === 0 ? moves : leaving).map(({ name }) => name));
  const ahead = new Set(partialFlight(standing.state)?.services.map(({ name }) => name));
  const collapses = [...going].some((name) => ahead.has(name));
  const tables = new Map(inForce.tables);
  const services = wanted.map((plan) => {
    const { name } = plan;
    if (collapses && ahead.has(name)) tables.set(name, baseline.tables.get(name)!);
    if (going.has(name)) return plan;
    if (collapses && ahead.has(name)) return baseline.plans.get(name) ?? plan;
    // Where nothing moves the plan at hand has the newer reasons.
    return ahead.has(name) || moves.includes(plan) ? (inForce.last.get(name)?.plan ?? plan) : plan;
  });
  return { services, tables, protective: protective && going.size > 0 };
}
