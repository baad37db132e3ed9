// Weight table, version 1: the whole check of bytes from outside. Layout: docs/reference/weight-table.md.
//
//      0 u32 magic "BLT1"   4 u16 version   6 u16 flags   8 u16 M   10 u16 targets   12 u32 length   16 u64 digest
//     24 u16+bytes service name
//        per target: u16+bytes name, u16 order quota, u16 sticky quota, u8 flags
//        sticky[M]   order[M]

import { afterText, isName, isSameText } from "./bytes";
import { SEEN_BYTES, seenBuffer, targetsBuffer } from "./memory";
import { Reason } from "./reason";
import { hashText, xxh64 } from "./xxh64";

const MAGIC: u32 = 0x31544c42;
const VERSION: u32 = 1;
export const TABLE_HEADER: usize = 24;
/** After a target's name: u16 order quota, u16 sticky quota, u8 flags. */
export const TARGET_TAIL: usize = 5;
const MIN_SLOTS: u32 = 256;
const MAX_SLOTS: u32 = 16384;
const MAX_TARGETS: u32 = 255;
const FLAG_OBSERVE: u32 = 1;
const TARGET_FLAG_DRAINING: u32 = 1;

export const MAX_TABLE_BYTES: usize = 67347;


@inline
export function tableFlags(table: usize): u32 {
  return load<u16>(table, 6);
}


@inline
export function tableSlots(table: usize): u32 {
  return load<u16>(table, 8);
}


@inline
export function tableTargets(table: usize): u32 {
  return load<u16>(table, 10);
}


@inline
export function tableDigest(table: usize): u64 {
  return load<u64>(table, 16);
}
/** Address of the service name's u16 length. */
@inline
export function tableService(table: usize): usize {
  return table + TABLE_HEADER;
}


@inline
export function tableLength(table: usize): usize {
  return load<u32>(table, 12);
}


@inline
export function isObserved(flags: u32): bool {
  return (flags & FLAG_OBSERVE) != 0;
}

/** The name of a target of a verified table, u16-prefixed. */
export function tableTarget(table: usize, number: u32): usize {
  let at = afterText(tableService(table));
  for (; number != 0; number--) at = afterText(at) + TARGET_TAIL;
  return at;
}

/** Per target 12 bytes: address of its name's u16 length, and what is left of its order and of its sticky quota. */
@inline
function targetAt(i: usize): usize {
  return targetsBuffer() + i * 12;
}
const ORDER_LEFT: usize = 4;
const STICKY_LEFT: usize = 8;

/** Checks everything; nothing of a table may be used unless this returned None. The bytes are as before afterwards. */
export function verifyTable(table: usize, length: usize): u32 {
  if (length < TABLE_HEADER || length > MAX_TABLE_BYTES) return Reason.TableLength;
  if (load<u32>(table) != MAGIC) return Reason.TableMagic;
  if (load<u16>(table, 4) != VERSION) return Reason.TableVersion;
  if (load<u32>(table, 12) != <u32>length) return Reason.TableLength;
  const digest = tableDigest(table);
  store<u64>(table, 0, 16);
  const actual = xxh64(table, length, 0);
  store<u64>(table, digest, 16);
  if (actual != digest) return Reason.TableDigest;

  if ((tableFlags(table) & ~FLAG_OBSERVE) != 0) return Reason.TableFlags;
  const slots = tableSlots(table);
  if (slots < MIN_SLOTS || slots > MAX_SLOTS || popcnt(slots) != 1) return Reason.TableSlots;
  const targets = tableTargets(table);
  if (targets == 0 || targets > MAX_TARGETS) return Reason.TableTargets;

  const end = table + length;
  let at = afterName(tableService(table), end);
  if (at == 0) return nameFault;
  let order: u32 = 0;
  let sticky: u32 = 0;
  memory.fill(seenBuffer(), 0, SEEN_BYTES);
  for (let i: usize = 0; i < <usize>targets; i++) {
    const target = targetAt(i);
    store<u32>(target, at);
    at = afterName(at, end);
    if (at == 0) return nameFault;
    if (isDuplicate(i)) return Reason.TableDuplicate;
    if (at + TARGET_TAIL > end) return Reason.TableLength;
    const orderQuota = <u32>load<u16>(at);
    const stickyQuota = <u32>load<u16>(at, 2);
    if ((load<u8>(at, 4) & ~TARGET_FLAG_DRAINING) != 0) return Reason.TableFlags;
    store<u32>(target + ORDER_LEFT, orderQuota);
    store<u32>(target + STICKY_LEFT, stickyQuota);
    order += orderQuota;
    sticky += stickyQuota;
    at += TARGET_TAIL;
  }
  if (order != slots || sticky != slots) return Reason.TableQuota;
  if (at + 2 * <usize>slots != end) return Reason.TableLength;
  const fault = verifySlots(at, slots, targets, STICKY_LEFT);
  return fault != Reason.None ? fault : verifySlots(at + slots, slots, targets, ORDER_LEFT);
}

/** Every index names a target, and every quota is used up exactly: none may go below zero, and they sum to the slots. */
function verifySlots(from: usize, slots: u32, targets: u32, left: usize): u32 {
  for (let slot: usize = 0; slot < <usize>slots; slot++) {
    const target = <u32>load<u8>(from + slot);
    if (target >= targets) return Reason.TableIndex;
    const quota = targetAt(target) + left;
    if (load<u32>(quota) == 0) return Reason.TableQuota;
    store<u32>(quota, load<u32>(quota) - 1);
  }
  return Reason.None;
}

let nameFault: u32 = 0;

/** The address after a name, 0 with `nameFault` set when it is not one. */
function afterName(at: usize, end: usize): usize {
  nameFault = Reason.TableLength;
  if (at + 2 > end) return 0;
  const after = afterText(at);
  if (after > end) return 0;
  nameFault = Reason.TableName;
  return isName(at + 2, load<u16>(at)) ? after : 0;
}

/** True when a target before the nth has the same name. Open addressing by hash: in each slot a target's number and 1. */
function isDuplicate(nth: usize): bool {
  const name = <usize>load<u32>(targetAt(nth));
  for (let slot = <u32>hashText(name, 0); ; slot++) {
    const at = seenBuffer() + ((<usize>slot) & (SEEN_BYTES - 1));
    const other = <usize>load<u8>(at);
    if (other == 0) {
      store<u8>(at, <u8>(nth + 1));
      break;
    }
    if (isSameText(load<u32>(targetAt(other - 1)), name)) return true;
  }
  return false;
}
