// What every member does: follow the header. First the active set, then the staged one; say so on the board; wake the
// leader. `advance` is one bounded step of that and is called on every tick and every wake-up.

import { LogLevel } from "./abi";
import { logReason, wake } from "./host";
import { Reason } from "./reason";
import { Gate, useRegion } from "./request";
import { carryPhases, empty, Region, region } from "./store";
import { MemberState, newIncarnation, own, publish } from "./sync-board";
import { active, readHeader, SetRef, staged } from "./sync-header";
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
/** The epoch that this VM must not touch, see seed.ts; 0 when there is none. */
let quarantineEpoch: u64 = 0;
let quarantineDigest: u64 = 0;
/** What a steering set opens: Steer (0), while seeding FirstSeeded. */
let gateAfterSeed: u32 = 0;

export function resetMember(): void {
  inUse = -1;
  torn = 0;
  quarantineEpoch = 0;
  abandonLoad();
  useRegion(null, Gate.Pass);
}

export function serving(): Region | null {
  return inUse >= 0 ? region(inUse) : null;
}

function spare(): Region {
  return region(inUse == 0 ? 1 : 0);
}

/** Starts empty: the active set is left alone until another epoch is activated. */
export function quarantine(): void {
  quarantineEpoch = active.epoch;
  quarantineDigest = active.digest;
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
  if (r !== null && quarantineEpoch == 0) useRegion(r, gateOf(own.mode));
}

/** One bounded step. True when there is more to do at once. */
export function advance(): bool {
  const stagedEpoch = own.stagedEpoch;
  const stagedDigest = own.stagedDigest;
  const activeEpoch = own.activeEpoch;
  const mode = own.mode;
  const reason = own.reason;
  const reading = own.reading;
  const state = own.state;
  const outcome = step(false);
  // Adopting comes before counting. A quarantined member counts: it must be seen.
  if (own.state == MemberState.Joining && (isAdopted() || own.quarantined != 0))
    own.state = MemberState.Counting;
  const told =
    own.stagedEpoch != stagedEpoch ||
    own.stagedDigest != stagedDigest ||
    own.activeEpoch != activeEpoch ||
    own.mode != mode ||
    own.reason != reason ||
    own.state != state;
  if (told || own.reading != reading) publish();
  if (told && holderQueue != own.queue) wake(holderQueue);
  return outcome == Loaded.More;
}

function isAdopted(): bool {
  return (
    active.slot < 0 ||
    (own.activeEpoch == active.epoch && own.activeDigest == active.digest) ||
    isRefused(active)
  );
}

function step(whole: bool): u32 {
  if (!readHeader()) return Loaded.Torn;
  if (
    active.slot >= 0 &&
    !isRefused(active) &&
    active.epoch != quarantineEpoch
  ) {
    const outcome = obtain(active, whole);
    if (outcome == Loaded.Refused) refuse(active, loadFault);
    if (outcome != Loaded.Done) return outcome;
    activate();
  }
  if (staged.slot >= 0 && !isRefused(staged)) {
    const outcome = obtain(staged, whole);
    if (outcome == Loaded.Refused) refuse(staged, loadFault);
    if (outcome != Loaded.Done) return outcome;
    own.stagedEpoch = staged.epoch;
    own.stagedDigest = staged.digest;
  }
  return Loaded.Done;
}

/** Done when one of the regions holds the set, whoever brought it there. */
function obtain(ref: SetRef, whole: bool): u32 {
  const current = serving();
  if (current !== null && current.digest == ref.digest) return Loaded.Done;
  const other = spare();
  if (other.complete && other.digest == ref.digest) return Loaded.Done;
  // The spare region is about to be filled anew: what was staged there is no longer held.
  if (current === null || own.stagedDigest != current.digest) {
    own.stagedEpoch = 0;
    own.stagedDigest = 0;
  }
  const outcome = loadSet(ref, other, current, whole);
  if (outcome == Loaded.Torn && !whole) {
    if (++torn < TORN_LIMIT) return outcome;
    refuse(ref, Reason.HandoverFailed);
  }
  if (outcome != Loaded.Torn) torn = 0;
  return outcome;
}

function activate(): void {
  const current = serving();
  if (current === null || current.digest != active.digest) {
    const next = spare();
    if (current !== null) carryPhases(current, next);
    inUse = inUse == 0 ? 1 : 0;
  } else if (own.activeEpoch == active.epoch && own.mode == active.mode) return;
  own.activeEpoch = active.epoch;
  own.activeDigest = active.digest;
  own.mode = active.mode;
  own.quarantined = 0;
  quarantineEpoch = 0;
  useRegion(serving(), gateOf(active.mode));
}

function gateOf(mode: u32): u32 {
  return mode == Mode.Steer ? gateAfterSeed : Gate.Pass;
}

function isRefused(ref: SetRef): bool {
  return (
    own.reason != Reason.None &&
    own.refusedEpoch == ref.epoch &&
    own.refusedDigest == ref.digest
  );
}

/** A refused set is not tried again under the same epoch; what serves goes on serving. */
function refuse(ref: SetRef, reason: u32): void {
  own.refusedEpoch = ref.epoch;
  own.refusedDigest = ref.digest;
  own.reason = reason;
  logReason(LogLevel.Warn, reason);
}

/** A VM that was declared dead begins anew on the board: it holds the same sets, and its quarantine if it had one. */
export function rejoin(): void {
  newIncarnation();
  abandonLoad();
  if (quarantineEpoch == 0) return;
  own.quarantined = 1;
  own.refusedEpoch = quarantineEpoch;
  own.refusedDigest = quarantineDigest;
  own.reason = Reason.SeedQuarantined;
}
