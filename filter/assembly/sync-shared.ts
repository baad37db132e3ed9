// Records in shared data: read with the cas that a later write must present. Absent means: a write creates.

import { CAS_CREATE, Status } from "./abi";
import { getShared, setShared, value, valueCas, valueLength } from "./host";
import { key, KEY_LENGTH } from "./sync-keys";

/** The cas for the next write of what was read last by `read` or `readRecord`. */
export let cas: u32 = 0;

/** Ok or NotFound; anything else is the host failing, and then `cas` forbids a write. */
export function read(kind: u32, number: u32): u32 {
  const status = getShared(key(kind, number), KEY_LENGTH);
  cas = status == Status.Ok ? valueCas() : status == Status.NotFound ? CAS_CREATE : 0;
  return status;
}

/** Copies a record of exactly `size` bytes to `to`; false (and zeroes) when it is absent or of another size. */
export function readRecord(kind: u32, number: u32, to: usize, size: usize): bool {
  if ((read(kind, number) == Status.Ok) & (valueLength() == size)) {
    memory.copy(to, value(), size);
    return true;
  }
  memory.fill(to, 0, size);
  return false;
}

/** Writes if nothing wrote since the read that gave `cas`. */
export function write(kind: u32, number: u32, from: usize, size: usize, cas: u32): bool {
  return setShared(key(kind, number), KEY_LENGTH, from, size, cas);
}
