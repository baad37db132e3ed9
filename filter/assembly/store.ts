// The two sets a VM holds: the one in use and the one being staged. Each region is filled from the bottom, never freed in
// part, and never touched while it is the one in use. All memory is grown once, when the configuration is read.
//
//     buffers ─▶ region 0: [records and tables ……][index u32 × slots]   region 1: the same   [leader's directory]
//
// A record with its table: [TableRecord][value address u32 × targets][bytes of the table], each record on 8 bytes.

import { afterText, isEqual } from "./bytes";
import { config, findValue } from "./config";
import { isObserved, tableFlags, tableService, tableSlots, tableTargets, TARGET_TAIL } from "./table";
import { afterBuffers } from "./memory";
import { Reason } from "./reason";
import { randomU32 } from "./random";
import { xxh64 } from "./xxh64";


@unmanaged
export class TableRecord {
  /** XXH64 of the service's name. */
  hash: u64;
  table: usize;
  /** The first slot of `order`, which ends the table; `sticky` lies before it. */
  order: usize;
  /** Next position in `order`; wraps at 2^32, of which every M is a divisor. */
  phase: u32;
  observed: bool;
  /** One target has all slots of both arrays: a session makes no difference. */
  single: bool;

  /** Per target: address of the u16-prefixed value to write. */
  @inline
  get values(): usize {
    return changetype<usize>(this) + offsetof<TableRecord>();
  }
  /** u16-prefixed. */
  @inline
  get service(): usize {
    return tableService(this.table);
  }
}


@unmanaged
export class Region {
  base: usize;
  index: usize;
  // All that follows is zero in an empty one.
  used: usize;
  count: u32;
  /** Sum of the lengths of the tables. */
  bytes: u32;
  complete: bool;
  digest: u64;
}

const REGIONS = memory.data(2 * 48, 8);

/** Bytes of one region, and entries (a power of two) of its index. 0 until memory was got. */
let regionBytes: usize = 0;
let indexMask: u32 = 0;

export function region(which: u32): Region {
  return changetype<Region>(REGIONS + which * 48);
}

/** Room for records beside `max_set_bytes` of tables: 8 targets cost about 110 bytes, and wide tables an eighth. */
function bytesForSet(): usize {
  return (<usize>config.maxSetBytes + ((<usize>config.maxSetBytes) >> 3) + <usize>config.maxServices * 128 + 7) & ~7;
}

function indexEntries(services: u32): u32 {
  return 1 << (32 - clz(services * 2 - 1));
}

/**
 * Lays the regions out for the configuration in force and empties both. `extra` bytes are left after them. Returns
 * the address of those, 0 when the host gives no memory: then the VM holds nothing and refuses every set.
 */
export function layOut(extra: usize): usize {
  const entries = indexEntries(config.maxServices);
  const bytes = bytesForSet();
  const whole = bytes + ((<usize>entries) << 2);
  const base = afterBuffers();
  const end = base + 2 * whole + extra;
  const pages = <i32>((end + 0xffff) >> 16) - memory.size();
  const granted = pages <= 0 || memory.grow(pages) >= 0;
  regionBytes = granted ? bytes : 0;
  indexMask = granted ? entries - 1 : 0;
  for (let which: u32 = 0; which < 2; which++) {
    const r = region(which);
    r.base = base + <usize>which * whole;
    r.index = r.base + bytes;
    empty(r);
  }
  return granted ? base + 2 * whole : 0;
}

export function empty(r: Region): void {
  memory.fill(changetype<usize>(r) + offsetof<Region>("used"), 0, offsetof<Region>() - offsetof<Region>("used"));
  if (regionBytes != 0) memory.fill(r.index, 0, (<usize>indexMask + 1) << 2);
}

/** Copies a verified table in and links it. None, SET_TOO_LARGE, SET_ORDER (a service twice) or VALUE_MISSING. */
export function addTable(r: Region, table: usize, length: usize): u32 {
  const targets = <usize>tableTargets(table);
  const size = (offsetof<TableRecord>() + (targets << 2) + length + 7) & ~7;
  if ((r.count >= config.maxServices) | (r.bytes + <u32>length > config.maxSetBytes) | (r.used + size > regionBytes))
    return Reason.SetTooLarge;
  if (findTable(r, tableService(table) + 2, load<u16>(tableService(table))) !== null) return Reason.SetOrder;
  const record = changetype<TableRecord>(r.base + r.used);
  const copy = record.values + (targets << 2);
  memory.copy(copy, table, length);
  record.table = copy;
  record.order = copy + length - tableSlots(copy);
  record.hash = soughtHash;
  record.observed = isObserved(tableFlags(copy));
  record.phase = randomU32();
  const fault = linkValues(record);
  if (fault != Reason.None) return fault;
  store<u32>(soughtEntry, changetype<usize>(record));
  r.used += size;
  r.count++;
  r.bytes += <u32>length;
  return Reason.None;
}

/** Points each target at what is written for it: its name, or its entry in `values` where the service has any. */
function linkValues(record: TableRecord): u32 {
  const service = record.service;
  const targets = <usize>tableTargets(record.table);
  const slots = tableSlots(record.table);
  record.single = false;
  let at = afterText(service);
  let byName = false;
  let byValue = false;
  for (let i: usize = 0; i < targets; i++) {
    let text = findValue(service, at);
    if (text == 0) {
      text = at;
      byName = true;
      // A target that only needs no write does not make its service one of the `header_name` form.
    } else if (load<u16>(text) != 0) byValue = true;
    store<u32>(record.values + (i << 2), text);
    at = afterText(at);
    if ((load<u16>(at) == slots) & (load<u16>(at, 2) == slots)) record.single = true;
    at += TARGET_TAIL;
  }
  return byName && byValue ? Reason.ValueMissing : Reason.None;
}

/** The record of a service, or null. Its hash and, when it is not there, the entry that is free for it are noted. */
export function findTable(r: Region, name: usize, length: usize): TableRecord | null {
  if (regionBytes == 0) return null;
  const hash = xxh64(name, length, 0);
  soughtHash = hash;
  let entry = <u32>hash;
  let at: usize;
  do {
    soughtEntry = r.index + ((<usize>(entry++ & indexMask)) << 2);
    at = <usize>load<u32>(soughtEntry);
    // At most half of the index is full, so an empty entry ends the search.
    if (at == 0) return null;
  } while (!isRecordOf(changetype<TableRecord>(at), hash, name, length));
  return changetype<TableRecord>(at);
}
function isRecordOf(record: TableRecord, hash: u64, name: usize, length: usize): bool {
  return record.hash == hash && isEqual(record.service + 2, load<u16>(record.service), name, length);
}
let soughtHash: u64 = 0;
let soughtEntry: usize = 0;

/** Carries the phases of `from` over to the same services of `to`, at the moment of the switch. */
export function carryPhases(from: Region, to: Region): void {
  for (let i: usize = 0; i <= <usize>indexMask; i++) {
    const at = <usize>load<u32>(to.index + (i << 2));
    if (at == 0) continue;
    const record = changetype<TableRecord>(at);
    const before = findTable(from, record.service + 2, load<u16>(record.service));
    if (before !== null) record.phase = before.phase;
  }
}
