// The pick: one load for a session, one load and an increment without. Both arrays were made by the control server.

import { TableRecord } from "./store";
import { xxh64 } from "./xxh64";

/** XXH64 of the fleet's name: the same key lies in the same slot on every Envoy of the fleet, and elsewhere in another. */
let fleetSeed: u64 = 0;

export function setFleet(name: usize, length: usize): void {
  fleetSeed = xxh64(name, length, 0);
}

/** The address of the u16-prefixed value to write. Sessions keep the target that owns their slot. */
@inline
export function pickSticky(table: TableRecord, key: usize, length: usize): usize {
  const slot = <usize>(xxh64(key, length, fleetSeed) >> (<u64>table.shift));
  return value(table, load<u8>(table.sticky + slot));
}

/** Any M picks in a row of one VM hit the quotas exactly, since they walk `order` once round. */
@inline
export function pickNext(table: TableRecord): usize {
  const slot = <usize>(table.phase++ & table.mask);
  return value(table, load<u8>(table.order + slot));
}


@inline
function value(table: TableRecord, target: u32): usize {
  return load<u32>(table.values + ((<usize>target) << 2));
}
