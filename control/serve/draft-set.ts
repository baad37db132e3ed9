import type { PlannedService } from "../plan/plan.ts";
import { type BuiltTable, buildTable } from "../table/build.ts";
import { makeSet } from "../table/set.ts";
import type { TableSet, WeightTable } from "../table/table.ts";

export interface DraftSet {
  set: TableSet;
  tables: ReadonlyMap<string, BuiltTable>;
  /** Services whose table differs from the one in force, in the order of the plan. */
  changed: readonly string[];
}

/** The tables that a plan asks for, each built from the one in force so that only the necessary slots move. Pure. */
export function draftSet(
  services: Iterable<PlannedService>,
  inForce: ReadonlyMap<string, WeightTable>,
  slots: number,
): DraftSet {
  const tables = new Map<string, BuiltTable>();
  const changed: string[] = [];
  for (const service of services) {
    const previous = inForce.get(service.name) ?? null;
    const built = buildTable({
      service: service.name,
      observe: service.mode === "observe",
      // The number of slots may only grow; a smaller setting keeps what serves.
      slots: Math.max(slots, previous?.slots ?? 0),
      targets: service.targets,
      previous,
    });
    tables.set(service.name, built);
    if (previous === null || !sameTable(built.table, previous)) changed.push(service.name);
  }
  return { set: makeSet([...tables.values()].map((built) => built.encoded)), tables, changed };
}

function sameTable(a: WeightTable, b: WeightTable): boolean {
  return (
    a.observe === b.observe &&
    a.slots === b.slots &&
    a.targets.length === b.targets.length &&
    a.targets.every((target, i) => {
      const other = b.targets[i]!;
      return (
        target.name === other.name &&
        target.orderQuota === other.orderQuota &&
        target.stickyQuota === other.stickyQuota &&
        target.draining === other.draining
      );
    }) &&
    Buffer.compare(a.sticky, b.sticky) === 0 &&
    Buffer.compare(a.order, b.order) === 0
  );
}
