import { encodeTable } from "../../control/table/codec.ts";
import { makeSet } from "../../control/table/set.ts";
import type { EncodedTable, TableSet } from "../../control/table/table.ts";

/** A table of equal quotas, whose last quotas are shifted by `turn` so that every turn gives other bytes. */
export function evenTable(service: string, targets: number, slots: number, turn: number, nameLength = 0): EncodedTable {
  const quotas = Array.from({ length: targets }, (_, i) => Math.floor(slots / targets) + (i < slots % targets ? 1 : 0));
  if (targets > 1) {
    const moved = Math.min(quotas[0]! - 1, turn % quotas[0]!);
    quotas[0]! -= moved;
    quotas[1]! += moved;
  }
  const slotsOf = Uint8Array.from(quotas.flatMap((quota, i) => new Array<number>(quota).fill(i)));
  return encodeTable({
    service,
    observe: false,
    slots,
    targets: quotas.map((quota, i) => ({
      name: `${service}-site${i}`.padEnd(nameLength, "x"),
      orderQuota: quota,
      stickyQuota: quota,
      draining: false,
    })),
    sticky: slotsOf,
    order: slotsOf,
  });
}

export function evenSet(services: number, targets: number, slots: number, turn: number): TableSet {
  return makeSet(
    Array.from({ length: services }, (_, i) =>
      evenTable(`service-${String(i).padStart(4, "0")}`, targets, slots, turn),
    ),
  );
}

export function manyTargets(services: number, targets: number, slots: number, turn: number, nameLength = 0): TableSet {
  return makeSet(
    Array.from({ length: services }, (_, i) => {
      // With one slot for each target nothing can be moved: every turn leaves another target out.
      const count = targets - (slots < 2 * targets ? turn : 0);
      return evenTable(`s${i}`, count, slots, turn, nameLength);
    }),
  );
}

/** `values` of a configuration for the tables of `manyTargets`. */
export function valuesOf(services: number, targets: number): Record<string, Record<string, string>> {
  const ofService = (service: number): [string, Record<string, string>] => [
    `s${service}`,
    Object.fromEntries(Array.from({ length: targets }, (_, i) => [`s${service}-site${i}`, String(i)])),
  ];
  return Object.fromEntries(Array.from({ length: services }, (_, i) => ofService(i)));
}
