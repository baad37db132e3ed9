// Keys in shared data. All start with the layout version and a hash of (control cluster, fleet), so that two module
// versions or two fleets in one vm_id never share a value:
//
//     ballast/1/<hash as 16 hex>/<kind><number as 3 digits of six bits, the lowest first, from "0" on>
//
//     kind m  member record of a board slot       kind s  manifest of a ring slot
//          q  wake-up queue of a board slot            t  bytes of a table, by store index
//          l  the leader's lease                       a  seed log
//          h  header: which sets are where             i  instance id of this Envoy process

import { putBytes, putHex } from "./bytes";
import { config } from "./config";
import { scratch } from "./memory";
import { ascii, putText } from "./words";
import { xxh64 } from "./xxh64";

/** Layout of every value in shared data. A change of any of them raises it, here, in the prefix and in what the node says. */
export const LAYOUT: u32 = 1;
const PREFIX: usize = ascii("ballast/1/");

const KEY = memory.data(48, 8);
let prefixLength: usize = 0;

/** Derives the prefix from the configuration in force; returns its hash. */
export function setPrefix(): u64 {
  let end = putBytes(scratch(), config.cluster, config.clusterLength);
  store<u8>(end++, 0);
  end = putBytes(end, config.fleet, config.fleetLength);
  const hash = xxh64(scratch(), end - scratch(), LAYOUT);
  end = putHex(putText(KEY, PREFIX), hash);
  store<u8>(end++, 47);
  prefixLength = end - KEY;
  return hash;
}

let keyLength: usize = 0;

/** Builds a key in place and returns its address; its length is `lengthOfKey()`. */
export function key(kind: u32, number: u32): usize {
  let at = KEY + prefixLength;
  store<u8>(at++, kind);
  for (let digit = 0; digit < 3; digit++) {
    store<u8>(at++, 48 + (number & 63));
    number >>= 6;
  }
  keyLength = at - KEY;
  return KEY;
}

export function lengthOfKey(): usize {
  return keyLength;
}

export namespace Kind {
  export const Member: u32 = 109;
  export const Queue: u32 = 113;
  export const Lease: u32 = 108;
  export const Header: u32 = 104;
  export const Manifest: u32 = 115;
  export const Table: u32 = 116;
  export const Seeds: u32 = 97;
  export const Instance: u32 = 105;
}
