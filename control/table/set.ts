import { BallastError } from "../../common/errors.ts";
import { xxh64 } from "../../common/xxh64.ts";
import type { EncodedTable, TableSet } from "./table.ts";

/**
 * Puts tables into a set: sorted by the bytes of the service name, under a digest that names the whole.
 * Throws TABLE_SET_INVALID for an empty set or a service that appears twice.
 */
export function makeSet(tables: readonly EncodedTable[]): TableSet {
  if (tables.length === 0) throw new BallastError("TABLE_SET_INVALID", "the set has no tables");
  // Names are ASCII (NAME_PATTERN), so the order of UTF-16 units is the order of bytes.
  const sorted = [...tables].sort((a, b) => (a.service < b.service ? -1 : a.service > b.service ? 1 : 0));
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i]!.service === sorted[i - 1]!.service) {
      throw new BallastError("TABLE_SET_INVALID", `service ${sorted[i]!.service} appears twice`);
    }
  }
  return { digest: setDigest(sorted), tables: sorted };
}

/**
 * XXH64 (seed 0) over, for each service in byte order of its name: u16 length of the name (little-endian), the name, u64
 * digest of its table. `tables` must be sorted; {@link makeSet} sees to it.
 */
export function setDigest(tables: readonly { service: string; digest: bigint }[]): bigint {
  const names = tables.map((table) => Buffer.from(table.service, "utf8"));
  const bytes = Buffer.alloc(names.reduce((sum, name) => sum + 2 + name.length + 8, 0));
  let at = 0;
  for (const [i, name] of names.entries()) {
    at = bytes.writeUInt16LE(name.length, at);
    at += name.copy(bytes, at);
    at = bytes.writeBigUInt64LE(tables[i]!.digest, at);
  }
  return xxh64(bytes);
}
