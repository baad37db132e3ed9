import { BallastError } from "../../common/errors.ts";
import { xxh64 } from "../../common/xxh64.ts";
import { isSlotCount, MAX_TABLE_BYTES, MAX_TARGETS, NAME_PATTERN } from "./limits.ts";
import type { EncodedTable, WeightTable, WeightTableTarget } from "./table.ts";

/**
 * Weight table version 1, little-endian (docs/reference/weight-table.md; the filter reads the same bytes):
 *
 *     0  u32 magic "BLT1"   4 u16 version   6 u16 flags   8 u16 M   10 u16 targets   12 u32 length   16 u64 digest
 *     24 u16+bytes service; per target: u16+bytes name, u16 order quota, u16 sticky quota, u8 flags; sticky[M]; order[M]
 */
const MAGIC = 0x31544c42;
const VERSION = 1;
const HEADER_BYTES = 24;
const DIGEST_OFFSET = 16;
const FLAG_OBSERVE = 1;
const TARGET_FLAG_DRAINING = 1;

/** What was wrong with the bytes, for callers that branch on it. */
export type TableFault =
  | "length"
  | "magic"
  | "version"
  | "flags"
  | "slots"
  | "targets"
  | "digest"
  | "name"
  | "duplicate"
  | "quota"
  | "index";

/** TABLE_INVALID with the fault, and the byte offset when it was found in encoded bytes. */
export class TableError extends BallastError {
  readonly fault: TableFault;
  readonly offset: number | undefined;

  constructor(fault: TableFault, what: string, offset?: number) {
    super("TABLE_INVALID", offset === undefined ? `${fault}: ${what}` : `${fault} at byte ${offset}: ${what}`);
    this.fault = fault;
    this.offset = offset;
  }
}

/** Encodes a table; throws TableError when it breaks a rule of the format. Equal tables give equal bytes. */
export function encodeTable(table: WeightTable): EncodedTable {
  const { slots, targets } = table;
  if (!isSlotCount(slots)) throw new TableError("slots", `${slots} is not a power of two from 256 to 16384`);
  if (targets.length < 1 || targets.length > MAX_TARGETS) {
    throw new TableError("targets", `${targets.length} targets: expected 1 to ${MAX_TARGETS}`);
  }
  for (const name of [table.service, ...targets.map((t) => t.name)]) {
    if (!NAME_PATTERN.test(name))
      throw new TableError("name", `${JSON.stringify(name)} does not match ${NAME_PATTERN}`);
  }
  let length = HEADER_BYTES + 2 + table.service.length + 2 * slots;
  for (const target of targets) length += 2 + target.name.length + 5;

  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, VERSION, true);
  view.setUint16(6, table.observe ? FLAG_OBSERVE : 0, true);
  view.setUint16(8, slots, true);
  view.setUint16(10, targets.length, true);
  view.setUint32(12, length, true);
  let at = HEADER_BYTES;
  // Names are ASCII by NAME_PATTERN: one byte per character.
  const writeName = (name: string) => {
    view.setUint16(at, name.length, true);
    at += 2;
    for (let i = 0; i < name.length; i++) bytes[at++] = name.charCodeAt(i);
  };
  writeName(table.service);
  for (const [i, target] of targets.entries()) {
    for (const quota of [target.orderQuota, target.stickyQuota]) {
      if (!Number.isInteger(quota) || quota < 0 || quota > slots) {
        throw new TableError("quota", `target ${i} has quota ${quota}: expected an integer from 0 to ${slots}`);
      }
    }
    writeName(target.name);
    view.setUint16(at, target.orderQuota, true);
    view.setUint16(at + 2, target.stickyQuota, true);
    bytes[at + 4] = target.draining ? TARGET_FLAG_DRAINING : 0;
    at += 5;
  }
  for (const [name, array] of [
    ["sticky", table.sticky],
    ["order", table.order],
  ] as const) {
    if (array.length !== slots) throw new TableError("length", `${name} has ${array.length} slots: expected ${slots}`);
    bytes.set(array, at);
    at += slots;
  }
  const digest = xxh64(bytes);
  view.setBigUint64(DIGEST_OFFSET, digest, true);
  // The rest of the rules (quotas, indexes, duplicates) are checked by the reader's own code, so that the two cannot differ.
  decodeTable(bytes);
  return { service: table.service, digest, bytes };
}

/**
 * Decodes and verifies everything: nothing of a table may be used before this returned. Throws TableError.
 * The result does not share memory with `bytes`.
 */
export function decodeTable(bytes: Uint8Array): WeightTable {
  if (bytes.length < HEADER_BYTES || bytes.length > MAX_TABLE_BYTES) {
    throw new TableError("length", `${bytes.length} bytes: expected ${HEADER_BYTES} to ${MAX_TABLE_BYTES}`, 0);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC) throw new TableError("magic", "does not begin with BLT1", 0);
  const version = view.getUint16(4, true);
  if (version !== VERSION) throw new TableError("version", `version ${version}: this reader knows ${VERSION}`, 4);
  const length = view.getUint32(12, true);
  if (length !== bytes.length) throw new TableError("length", `says ${length} bytes, but has ${bytes.length}`, 12);
  const digest = view.getBigUint64(DIGEST_OFFSET, true);
  if (tableDigest(bytes) !== digest) throw new TableError("digest", "the content has another digest", DIGEST_OFFSET);

  const flags = view.getUint16(6, true);
  if ((flags & ~FLAG_OBSERVE) !== 0) throw new TableError("flags", `unknown flags ${flags}`, 6);
  const slots = view.getUint16(8, true);
  if (!isSlotCount(slots)) throw new TableError("slots", `${slots} is not a power of two from 256 to 16384`, 8);
  const count = view.getUint16(10, true);
  if (count < 1 || count > MAX_TARGETS) throw new TableError("targets", `${count}: expected 1 to ${MAX_TARGETS}`, 10);

  let at = HEADER_BYTES;
  const need = (n: number) => {
    if (at + n > bytes.length) throw new TableError("length", "ends too early", at);
  };
  const readName = (): string => {
    need(2);
    const size = view.getUint16(at, true);
    need(2 + size);
    const name = String.fromCharCode(...bytes.subarray(at + 2, at + 2 + Math.min(size, 129)));
    if (!NAME_PATTERN.test(name)) throw new TableError("name", `${JSON.stringify(name)} is not a name`, at + 2);
    at += 2 + size;
    return name;
  };
  const service = readName();
  const targets: WeightTableTarget[] = [];
  const seen = new Set<string>();
  let orderSum = 0;
  let stickySum = 0;
  for (let i = 0; i < count; i++) {
    const start = at;
    const name = readName();
    if (seen.has(name)) throw new TableError("duplicate", `target ${name} appears twice`, start);
    seen.add(name);
    need(5);
    const orderQuota = view.getUint16(at, true);
    const stickyQuota = view.getUint16(at + 2, true);
    const targetFlags = bytes[at + 4]!;
    if ((targetFlags & ~TARGET_FLAG_DRAINING) !== 0)
      throw new TableError("flags", `unknown flags ${targetFlags}`, at + 4);
    orderSum += orderQuota;
    stickySum += stickyQuota;
    at += 5;
    targets.push({ name, orderQuota, stickyQuota, draining: (targetFlags & TARGET_FLAG_DRAINING) !== 0 });
  }
  if (orderSum !== slots || stickySum !== slots) {
    throw new TableError(
      "quota",
      `order quotas sum to ${orderSum}, sticky to ${stickySum}: expected ${slots}`,
      HEADER_BYTES,
    );
  }
  if (bytes.length !== at + 2 * slots) {
    throw new TableError("length", `has ${bytes.length} bytes: these targets and slots make ${at + 2 * slots}`, at);
  }
  const readSlots = (name: "sticky" | "order"): Uint8Array => {
    const array = bytes.slice(at, at + slots);
    const counts = new Uint32Array(count);
    for (const [slot, index] of array.entries()) {
      if (index >= count) throw new TableError("index", `${name}[${slot}] is ${index} of ${count} targets`, at + slot);
      counts[index]! += 1;
    }
    for (const [i, target] of targets.entries()) {
      const quota = name === "sticky" ? target.stickyQuota : target.orderQuota;
      if (counts[i] !== quota) {
        throw new TableError("quota", `${target.name} has ${counts[i]} ${name} slots and quota ${quota}`, at);
      }
    }
    at += slots;
    return array;
  };
  const sticky = readSlots("sticky");
  const order = readSlots("order");
  return { service, observe: (flags & FLAG_OBSERVE) !== 0, slots, targets, sticky, order };
}

/** XXH64 (seed 0) of the bytes with the digest field taken as zero. */
export function tableDigest(bytes: Uint8Array): bigint {
  const copy = bytes.slice();
  copy.fill(0, DIGEST_OFFSET, DIGEST_OFFSET + 8);
  return xxh64(copy);
}
