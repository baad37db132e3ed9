// The pick: one load for a session, one load and an increment without. Both arrays were made by the control server.

import { TableRecord } from "./store";
import { tableSlots } from "./table";
import { xxh64 } from "./xxh64";

/** XXH64 of the fleet's name: the same key lies in the same slot on every Envoy of the fleet, and elsewhere in another. */
let fleetSeed: u64 = 0;

export function setFleet(name: usize, length: usize): void {
  fleetSeed = xxh64(name, length, 0);
}

/** The picked target's number. Sessions keep the target that owns their slot. */
@inline
export function pickSticky(record: TableRecord, key: usize, length: usize): u32 {
  const slots = tableSlots(record.table);
  const slot = <usize>(xxh64(key, length, fleetSeed) >> (<u64>(64 - ctz(slots))));
  return load<u8>(record.order - slots + slot);
}

/** Any M picks in a row of one VM hit the quotas exactly, since they walk `order` once round. */
@inline
export function pickNext(record: TableRecord): u32 {
  const slot = record.phase++ & (tableSlots(record.table) - 1);
  return load<u8>(record.order + slot);
}
