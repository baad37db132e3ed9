// What every member does: follow the header. First the active set, then the staged one; say so on the board; wake the
// leader. `advance` is one bounded step of that and is called on every tick and every wake-up.

import { LogLevel } from "./abi";
import { compare } from "./bytes";
import { logReason, wake } from "./host";
import { Reason } from "./reason";
import { Gate, useRegion } from "./request";
import { carryPhases, empty, Region, region } from "./store";
import { MemberState, newIncarnation, own, publish, RECORD_BYTES } from "./sync-board";
import { active, copyId, isSame, readHeader, SetId, SetRef, staged } from "./sync-header";
import { holderQueue } from "./sync-lease";
import { abandonLoad, Loaded, loadFault, loadSet } from "./sync-load";

/** ballast.v1.Mode */
export namespace Mode {
  export const Unspecified: u32 = 0;
  export const Steer: u32 = 1;
  export const Observe: u32 = 2;
  export const Passthrough: u32 = 3;
}

/** Looks at the header in vain so often (100 ms apart) before a set that cannot be read counts as refused. */
const TORN_LIMIT: u32 = 50;

/** Region in use: 0, 1, or -1 before the first activation. */
let inUse: i32 = -1;
let torn: u32 = 0;
/** Milliseconds since a set or its mode last came into use here; counted by ticks, so that it does not wrap. */
export let setAgeMs: u64 = 0;
let lastTick: u32 = 0;
/** The set that this VM must not touch, see seed.ts. */
let isQuarantined: bool = false;
const quarantinedSet: SetId = changetype<SetId>(memory.data(16, 8));
const BEFORE = memory.data(88, 8);
/** What a steering set opens: Steer (0), while seeding FirstSeeded. */
let gateAfterSeed: u32 = 0;

export function resetMember(): void {
  inUse = -1;
  torn = 0;
  isQuarantined = false;
  abandonLoad();
  useRegion(null, Gate.Pass);
}

export function ageSet(now: u32): void {
  if (lastTick != 0) setAgeMs += now - lastTick;
  lastTick = now;
}

export function serving(): Region | null {
  return inUse >= 0 ? region(inUse) : null;
}

/** Without a region some word near address 0, which the caller does not count. */
@inline
function digestOf(region: Region | null): u64 {
  return changetype<Region>(changetype<usize>(region)).digest;
}

function spare(): Region {
  return region(inUse == 0 ? 1 : 0);
}

/** Starts empty: the active set is left alone until another epoch is activated. */
export function quarantine(): void {
  isQuarantined = true;
  copyId(quarantinedSet, active);
  own.quarantined = 1;
  refuse(active, Reason.SeedQuarantined);
}

/** Loads active and staged set at once, before any request; the first request of a seeded VM passes FirstSeeded. */
export function seedSets(): void {
  gateAfterSeed = Gate.FirstSeeded;
  step(true);
  gateAfterSeed = Gate.Steer;
}

/** A new root may have brought another `service_from`: look the fixed table up again, keep the gate. */
export function reuseRegion(): void {
  const r = serving();
  if ((r !== null) & !isQuarantined) useRegion(r, gateOf(own.mode));
}

/** One bounded step. True when there is more to do at once. */
export function advance(): bool {
  memory.copy(BEFORE, changetype<usize>(own), RECORD_BYTES);
  const outcome = step(false);
  // Adopting comes before counting. One that must leave the active set alone counts all the same: it has to be seen.
  if ((own.state == MemberState.Joining) & ((active.slot < 0) | isSame(own.active, active) | isRefused(active))) {
    own.state = MemberState.Counting;
  }
  if (compare(BEFORE, changetype<usize>(own), RECORD_BYTES) != 0) {
    publish();
    if (holderQueue != own.queue) wake(holderQueue);
  }
  return outcome == Loaded.More;
}

function step(whole: bool): u32 {
  if (!readHeader()) return Loaded.Torn;
  if ((active.slot >= 0) & !isRefused(active)) {
    const outcome = obtain(active, whole);
    if (outcome != Loaded.Done) return outcome;
    activate();
  }
  if ((staged.slot >= 0) & !isRefused(staged)) {
    const outcome = obtain(staged, whole);
    if (outcome != Loaded.Done) return outcome;
    copyId(own.staged, staged);
  }
  return Loaded.Done;
}

/** Done when one of the regions holds the set, whoever brought it there. */
function obtain(ref: SetRef, whole: bool): u32 {
  const current = serving();
  if ((current !== null) & (digestOf(current) == ref.digest)) return Loaded.Done;
  const other = spare();
  if (other.complete & (other.digest == ref.digest)) return Loaded.Done;
  // The spare region is about to be filled anew: what was staged there is no longer held.
  if ((current === null) | (own.stagedDigest != digestOf(current))) own.stagedEpoch = own.stagedDigest = 0;
  let outcome = loadSet(ref, other, current, whole);
  if (outcome != Loaded.Torn) torn = 0;
  else if (!whole && ++torn >= TORN_LIMIT) outcome = Loaded.Refused;
  if (outcome == Loaded.Refused) refuse(ref, torn != 0 ? Reason.HandoverFailed : loadFault);
  return outcome;
}

function activate(): void {
  const current = serving();
  if ((current === null) | (digestOf(current) != active.digest)) {
    if (current !== null) carryPhases(current, spare());
    inUse = inUse == 0 ? 1 : 0;
  } else if (isSame(own.active, active) & (own.mode == active.mode)) return;
  copyId(own.active, active);
  setAgeMs = 0;
  own.mode = active.mode;
  own.quarantined = 0;
  isQuarantined = false;
  reuseRegion();
}

function gateOf(mode: u32): u32 {
  return mode == Mode.Steer ? gateAfterSeed : Gate.Pass;
}

/** A quarantined set counts as refused whatever was refused since. */
function isRefused(ref: SetRef): bool {
  return ((own.reason != Reason.None) & isSame(own.refused, ref)) | (isQuarantined & isSame(quarantinedSet, ref));
}

/** A refused set is not tried again under the same epoch; what serves goes on serving. */
function refuse(ref: SetId, reason: u32): void {
  copyId(own.refused, ref);
  own.reason = reason;
  logReason(LogLevel.Warn, reason);
}

/** A VM that was declared dead begins anew on the board: it holds the same sets, and its quarantine if it had one. */
export function rejoin(): void {
  newIncarnation();
  abandonLoad();
  if (!isQuarantined) return;
  own.quarantined = 1;
  refuse(quarantinedSet, Reason.SeedQuarantined);
}
