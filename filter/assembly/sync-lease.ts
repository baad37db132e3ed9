// The leader's lease: one record, taken and renewed by compare-and-swap.
//
//     0 u64 incarnation   8 u32 beats   12 u32 queue of the holder

import { own } from "./sync-board";
import { Kind } from "./sync-keys";
import * as shared from "./sync-shared";
import { isSilent, Watch } from "./sync-watch";


@unmanaged
class LeaseRecord {
  incarnation: u64;
  beats: u32;
  queue: u32;
}
const RECORD_BYTES: usize = 16;
const LEASE = memory.data(16, 8);
const lease: LeaseRecord = changetype<LeaseRecord>(LEASE);
const holder: Watch = changetype<Watch>(memory.data(16, 8));

let held: bool = false;
/** The holder's queue, to wake it; 0 when nobody holds the lease. */
export let holderQueue: u32 = 0;

export function isLeader(): bool {
  return held;
}

export function dropLease(): void {
  held = false;
}

/** Once per tick: renews, observes or takes over. */
export function tickLease(now: u32): void {
  const isTaken = shared.readRecord(Kind.Lease, 0, LEASE, RECORD_BYTES);
  const cas = shared.cas;
  holderQueue = lease.queue;
  if (lease.incarnation != own.incarnation) {
    held = false;
    if (isTaken && !isSilent(holder, lease.incarnation + lease.beats, now)) return;
  }
  lease.incarnation = own.incarnation;
  lease.beats++;
  lease.queue = own.queue;
  held = shared.write(Kind.Lease, 0, LEASE, RECORD_BYTES, cas);
  if (held) holderQueue = own.queue;
}

/** Asked before anything is done in the leader's name outside its tick: a paused leader may have been replaced. */
export function stillHolds(): bool {
  if (!held) return false;
  shared.readRecord(Kind.Lease, 0, LEASE, RECORD_BYTES);
  held = lease.incarnation == own.incarnation;
  return held;
}
