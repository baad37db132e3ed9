// Which filters live in this vm_id, so that a second one with another configuration is refused: the newest configuration of
// a VM serves all of it. Envoy tells the filters of a VM apart by `name` and `root_id`, and so does this: the same ones with another
// configuration are an update of that filter, others are another filter. The canary that Envoy tries a configuration in is a VM of
// its own, hence shared data.
//
//     8 entries: 0 u64 filter   8 u64 hash of its configuration   16 u32 monotonic ms of the last sign

import { getProperty, monotonicMs, value, valueLength } from "./host";
import { Kind } from "./sync-keys";
import * as shared from "./sync-shared";
import { ascii } from "./words";
import { xxh64 } from "./xxh64";


@unmanaged
class Claim {
  filter: u64;
  configuration: u64;
  sign: u32;
}
const CLAIM_BYTES: usize = 24;
const CLAIMS_BYTES: usize = 8 * 24;
const CLAIMS = memory.data(192, 8);

/** A filter none of whose roots ticked for so long is gone. At the start, canaries come up to seconds before the first tick. */
const ALIVE_MS: u32 = 10_000;
/** One VM in this time writes; the others find it done. */
const RENEW_MS: u32 = 1_000;

const NAME: usize = ascii("plugin_name");
const NAME_LENGTH: usize = 11;
const ROOT_ID: usize = ascii("plugin_root_id");
const ROOT_ID_LENGTH: usize = 14;

/** The filter being called, as `sign` found out. */
export let filter: u64 = 0;

/**
 * A sign of life of the filter being called. `configuration` is the hash of the one it has, 0 when that is to be looked up.
 * Returns it; 0 when nobody knows it, or when `mayRefuse` and this filter is new to a VM in which another one has another.
 */
export function sign(configuration: u64, mayRefuse: bool): u64 {
  filter = hashProperty(ROOT_ID, ROOT_ID_LENGTH, hashProperty(NAME, NAME_LENGTH, 0));
  const now = monotonicMs();
  shared.readRecord(Kind.Filters, 0, CLAIMS, CLAIMS_BYTES);
  let place: usize = 0;
  let isKnown = false;
  let clashes = false;
  for (let at: usize = CLAIMS; at < CLAIMS + CLAIMS_BYTES; at += CLAIM_BYTES) {
    const claim = changetype<Claim>(at);
    if (now - claim.sign > ALIVE_MS) claim.filter = 0;
    if (claim.filter == filter) {
      isKnown = true;
      place = at;
    } else if (claim.filter == 0) place = isKnown ? place : at;
    else if (claim.configuration != configuration) clashes = true;
  }
  if (mayRefuse & clashes & !isKnown) return 0;
  const claim = changetype<Claim>(place);
  if ((configuration == 0) & isKnown) configuration = claim.configuration;
  const isFresh = (claim.configuration == configuration) & (now - claim.sign < RENEW_MS);
  // No place is left to the ninth filter: it is not told apart.
  if ((place == 0) | (configuration == 0) | (isKnown & isFresh)) return configuration;
  claim.filter = filter;
  claim.configuration = configuration;
  claim.sign = now;
  shared.write(Kind.Filters, 0, CLAIMS, CLAIMS_BYTES, shared.cas);
  return configuration;
}

function hashProperty(path: usize, length: usize, seed: u64): u64 {
  return getProperty(path, length) ? xxh64(value(), valueLength(), seed) : seed;
}
