// The leader's lease: one record, taken and renewed by compare-and-swap. Whether the holder lives is judged by its beats
// and this VM's own monotonic clock and ticks, never by the wall clock.
//
//     0 u64 incarnation   8 u64 beats   16 u32 queue of the holder   20 u32 root of the holder

import { Status } from "./abi";
import { value, valueLength } from "./host";
import { own } from "./sync-board";
import { Kind } from "./sync-keys";
import * as shared from "./sync-shared";

/** Dead: beats unchanged for so long … */
export const DEAD_AFTER_MS: u32 = 1_000;
/** … and over so many of the observer's own ticks, so that an observer that was paused itself does not misjudge. */
export const DEAD_AFTER_TICKS: u32 = 10;


@unmanaged
class LeaseRecord {
  incarnation: u64;
  beats: u64;
  queue: u32;
  root: u32;
}
const RECORD_BYTES: usize = 24;
const NEXT = memory.data(24, 8);

let held: bool = false;
/** The holder's queue, to wake it; 0 when nobody holds the lease. */
export let holderQueue: u32 = 0;

// What was last seen of the holder, and since when.
let seenIncarnation: u64 = 0;
let seenBeats: u64 = 0;
let seenSince: u32 = 0;
let seenTicks: u32 = 0;

export function isLeader(): bool {
  return held;
}

export function dropLease(): void {
  held = false;
}

/** Once per tick: renews, observes or takes over. */
export function tickLease(now: u32, root: u32): void {
  const status = shared.read(Kind.Lease, 0);
  const cas = shared.cas;
  if (status == Status.Ok && valueLength() == RECORD_BYTES) {
    const record = changetype<LeaseRecord>(value());
    holderQueue = record.queue;
    const incarnation = record.incarnation;
    const beats = record.beats;
    if (incarnation != own.incarnation) {
      held = false;
      if (incarnation != seenIncarnation || beats != seenBeats) {
        seenIncarnation = incarnation;
        seenBeats = beats;
        seenSince = now;
        seenTicks = 0;
        return;
      }
      if (++seenTicks < DEAD_AFTER_TICKS || now - seenSince < DEAD_AFTER_MS) return;
    }
    write(beats + 1, root, cas);
  } else {
    write(1, root, cas);
  }
}

function write(beats: u64, root: u32, cas: u32): void {
  const next = changetype<LeaseRecord>(NEXT);
  next.incarnation = own.incarnation;
  next.beats = beats;
  next.queue = own.queue;
  next.root = root;
  held = shared.write(Kind.Lease, 0, NEXT, RECORD_BYTES, cas);
  if (held) holderQueue = own.queue;
}

/** Asked before anything is done in the leader's name outside its tick: a paused leader may have been replaced. */
export function stillHolds(): bool {
  if (!held) return false;
  held =
    shared.read(Kind.Lease, 0) == Status.Ok &&
    valueLength() == RECORD_BYTES &&
    changetype<LeaseRecord>(value()).incarnation == own.incarnation;
  return held;
}
