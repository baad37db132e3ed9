// The members' board: one record per slot, written only by its owner, except that the leader marks a dead one Free.
// A member is a VM that has ticked; a canary never does. Slots are claimed from the lowest, so the first absent key ends
// the board.
//
//     0 u32 state   4 u32 queue   8 u64 incarnation   16 u64 beats
//    24 staged   40 active   56 refused (each u64 epoch, u64 digest)
//    72 u32 mode   76 i32 ring slot being read   80 u32 reason   84 u32 quarantined

import { CAS_CREATE, Status } from "./abi";
import { randomU64, registerQueue, value, valueLength } from "./host";
import { OWN_RECORD } from "./memory";
import { SetId } from "./sync-header";
import { key, KEY_LENGTH, Kind } from "./sync-keys";
import * as shared from "./sync-shared";

/** Workers, the main thread, and slots of members that died a moment ago. */
export const MAX_MEMBERS: u32 = 256;

export namespace MemberState {
  /** Declared dead; the slot may be claimed. */
  export const Free: u32 = 0;
  /** Alive, has not adopted the active set yet, does not count. */
  export const Joining: u32 = 1;
  export const Counting: u32 = 2;
}


@unmanaged
export class MemberRecord {
  state: u32;
  queue: u32;
  incarnation: u64;
  beats: u64;
  stagedEpoch: u64;
  stagedDigest: u64;
  activeEpoch: u64;
  activeDigest: u64;
  refusedEpoch: u64;
  refusedDigest: u64;
  mode: u32;
  /** Ring slot whose manifest or tables are being copied, -1 when none: the leader does not reuse it. */
  reading: i32;
  reason: u32;
  quarantined: u32;


  @inline
  get staged(): SetId {
    return changetype<SetId>(changetype<usize>(this) + offsetof<MemberRecord>("stagedEpoch"));
  }


  @inline
  get active(): SetId {
    return changetype<SetId>(changetype<usize>(this) + offsetof<MemberRecord>("activeEpoch"));
  }


  @inline
  get refused(): SetId {
    return changetype<SetId>(changetype<usize>(this) + offsetof<MemberRecord>("refusedEpoch"));
  }
}

export const RECORD_BYTES: usize = 88;
/** This VM's own record; `publish` makes it seen. */
export const own: MemberRecord = changetype<MemberRecord>(OWN_RECORD);

let slot: i32 = -1;

/** Begins a life on the board: at the start, and again after having been declared dead. */
export function newIncarnation(): void {
  slot = -1;
  memory.fill(OWN_RECORD, 0, RECORD_BYTES);
  own.incarnation = randomU64();
  own.reading = -1;
}

export function isRegistered(): bool {
  return slot >= 0;
}
export function ownSlot(): i32 {
  return slot;
}

/** The record of a slot in the scratch buffer, 0 at the end of the board or when the host fails: see `isBoardEnd`. */
export function memberAt(number: u32): usize {
  return (shared.read(Kind.Member, number) == Status.Ok) & (valueLength() == RECORD_BYTES) ? value() : 0;
}

/** After `memberAt` returned 0: true when the board really ends there. */
export function isBoardEnd(): bool {
  return shared.cas == CAS_CREATE;
}

/** Claims the lowest slot that is absent or free. False when others were quicker or the board is full: try at the next tick. */
export function claimSlot(): bool {
  let number: u32 = 0;
  for (let attempt: u32 = 0; attempt < MAX_MEMBERS; attempt++) {
    const there = memberAt(number);
    if ((there != 0) & (changetype<MemberRecord>(there).state != MemberState.Free)) {
      number++;
      continue;
    }
    const cas = shared.cas;
    own.state = MemberState.Joining;
    own.beats = 1;
    if (shared.write(Kind.Member, number, OWN_RECORD, RECORD_BYTES, cas)) {
      slot = number;
      return true;
    }
    // Somebody took it in between, or the host failed: look at it again. A slot that is left absent would end the board
    // for the leader, before members that claimed later ones.
  }
  return false;
}

/** Registers the wake-up queue of this slot for the root that is being called; only its last registrant is woken. */
export function openQueue(): void {
  own.queue = registerQueue(key(Kind.Queue, slot), KEY_LENGTH);
}

/** Makes `own` seen. False, and no longer registered, when the slot is not ours any more. */
export function publish(): bool {
  if (slot < 0) return false;
  const there = memberAt(slot);
  const cas = shared.cas;
  if (there != 0) {
    const record = changetype<MemberRecord>(there);
    const ours = (record.state != MemberState.Free) & (record.incarnation == own.incarnation);
    // Only this VM and a leader that declares it dead write here: a failed write is such a declaration.
    if (ours && shared.write(Kind.Member, slot, OWN_RECORD, RECORD_BYTES, cas)) return true;
  }
  slot = -1;
  return false;
}
