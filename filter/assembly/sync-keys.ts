// Keys in shared data. All start with the layout version and a hash of (control cluster, fleet), so that two module
// versions or two fleets in one vm_id never share a value:
//
//     ballast/1/<hash as 16 hex>/<kind><number as 3 digits of six bits, the lowest first, from "0" on>
//
//     kind m  member record of a board slot       kind s  manifest of a ring slot
//          q  wake-up queue of a board slot            t  bytes of a table, by store index
//          l  the leader's lease                       a  seed log
//          h  header: which sets are where             i  instance id of this Envoy process
//
// and ballast/1/filters-of-this-vm-id, of all fleets: the filters that live there.

import { putBytes, putHex } from "./bytes";
import { config } from "./config";
import { scratch } from "./memory";
import { ascii, putText } from "./words";
import { xxh64 } from "./xxh64";

/** Layout of every value in shared data. A change of any of them raises it, here, in the prefix and in what the node says. */
export const LAYOUT: u32 = 1;
const PREFIX: usize = ascii("ballast/1/");
const FILTERS: usize = ascii("ballast/1/filters-of-this-vm-id");

/** "ballast/1/", 16 digits, "/"; then kind and number. All keys are of one length. */
const KEY_PREFIX_LENGTH: usize = 27;
export const KEY_LENGTH: usize = 31;
const KEY = memory.data(32, 8);
/** Derives the prefix from the configuration in force; returns its hash. */
export function setPrefix(): u64 {
  let end = putBytes(scratch(), config.cluster, config.clusterLength);
  store<u8>(end++, 0);
  end = putBytes(end, config.fleet, config.fleetLength);
  const hash = xxh64(scratch(), end - scratch(), LAYOUT);
  end = putHex(putText(KEY, PREFIX), hash);
  store<u8>(end, 47);
  return hash;
}

/** Builds a key in place and returns its address. */
export function key(kind: u32, number: u32): usize {
  if (kind == Kind.Filters) return FILTERS;
  store<u8>(KEY, 97 + kind, KEY_PREFIX_LENGTH);
  store<u8>(KEY, 48 + (number & 63), KEY_PREFIX_LENGTH + 1);
  store<u8>(KEY, 48 + ((number >> 6) & 63), KEY_PREFIX_LENGTH + 2);
  store<u8>(KEY, 48 + ((number >> 12) & 63), KEY_PREFIX_LENGTH + 3);
  return KEY;
}

/** Letters, counted from "a": as numbers below 64 they take one byte of code. */
export namespace Kind {
  export const Member: u32 = 12;
  export const Queue: u32 = 16;
  export const Lease: u32 = 11;
  export const Header: u32 = 7;
  export const Manifest: u32 = 18;
  export const Table: u32 = 19;
  export const Seeds: u32 = 0;
  export const Instance: u32 = 8;
  export const Filters: u32 = 5;
}
