// The header in shared data: which sets this Envoy knows and in which ring slot the manifest of each lies. Written only
// by the leader, last of all and by compare-and-swap: with two leaders for a moment, one of them loses here.
//
//     0 SetRef seen   32 SetRef staged   64 SetRef active   96 SetRef kept[3]      (SetRef: 32 bytes)
//
// A manifest (ring slot) is the set's digest input, so that one hash checks it, followed by where the tables lie:
//
//     0 u64 set digest   8 u32 services   12 u32 bytes of names   16 names: (u16 length, name, u64 table digest)*
//     then u32 store index per service

import { Status } from "./abi";
import { value, valueLength } from "./host";
import { Kind } from "./sync-keys";
import { stillHolds } from "./sync-lease";
import * as shared from "./sync-shared";

/** Sets that stay in shared data after their activation, the active one included: a rollback finds them there. */
export const KEPT_SETS: u32 = 3;
/** Ring slots for manifests: staged, kept, the next, and some that members may still be reading. */
export const RING_SLOTS: u32 = 8;

/** What names a set: no two of one epoch, and one digest for equal sets. */
@unmanaged
export class SetId {
  epoch: u64;
  digest: u64;
}


@unmanaged
export class SetRef extends SetId {
  term: u64;
  /** Ring slot of the manifest, -1 when there is no set. */
  slot: i32;
  /** Of the active set: ballast.v1.Mode. */
  mode: u32;
}
export const SET_ID_BYTES: usize = 16;
export const SET_REF_BYTES: usize = 32;

export function isSame(a: SetId, b: SetId): bool {
  return (a.epoch == b.epoch) & (a.digest == b.digest);
}
export function copyId(to: SetId, from: SetId): void {
  memory.copy(changetype<usize>(to), changetype<usize>(from), SET_ID_BYTES);
}

export function copyRef(to: SetRef, from: SetRef): void {
  memory.copy(changetype<usize>(to), changetype<usize>(from), SET_REF_BYTES);
}

const HEADER_BYTES: usize = 6 * 32;
const HEADER = memory.data(192, 8);

/** The highest stage ever seen, refused or not: an epoch belongs to one digest for ever. Its slot means nothing. */
export const seen: SetRef = changetype<SetRef>(HEADER);
export const staged: SetRef = changetype<SetRef>(HEADER + 32);
export const active: SetRef = changetype<SetRef>(HEADER + 64);

/** 0 seen, 1 staged, 2 active, 3 to 5 kept. */
export const REFS: u32 = 6;
export function refAt(i: u32): SetRef {
  return changetype<SetRef>(HEADER + <usize>i * SET_REF_BYTES);
}

let cas: u32 = 0;

/** Copies the header in. An absent one reads as no sets. False only when the host fails. */
export function readHeader(): bool {
  const there = shared.readRecord(Kind.Header, 0, HEADER, HEADER_BYTES);
  cas = shared.cas;
  if (!there) for (let i: u32 = 0; i < REFS; i++) refAt(i).slot = -1;
  return cas != 0;
}

/**
 * Publishes the changed copy. False when another leader was quicker: read again and decide anew. The lease is looked at after
 * the cas was read: a successor from before ends it here, one from after has changed the cas with its first write.
 */
export function writeHeader(): bool {
  return stillHolds() && shared.write(Kind.Header, 0, HEADER, HEADER_BYTES, cas);
}

/** True when this set is there, and in this ring slot. */
export function isSet(ref: SetRef, id: SetId): bool {
  return (ref.slot >= 0) & isSame(ref, id);
}

/** True when a known epoch comes with another digest than the one it belongs to. */
export function isReused(id: SetId): bool {
  for (let i: u32 = 0; i < REFS; i++) if ((refAt(i).epoch == id.epoch) & (refAt(i).digest != id.digest)) return true;
  return false;
}

/** True for a slot that holds the staged, the active or a kept set. */
export function isRetained(slot: i32): bool {
  for (let i: u32 = 1; i < REFS; i++) if (refAt(i).slot == slot) return true;
  return false;
}

/** Makes the staged set the active one, keeping those before it. */
export function activateStaged(): void {
  memory.copy(HEADER + 4 * SET_REF_BYTES, HEADER + 3 * SET_REF_BYTES, (<usize>KEPT_SETS - 1) * SET_REF_BYTES);
  copyRef(active, staged);
  copyRef(refAt(3), staged);
}

export const MANIFEST_HEADER: usize = 16;


@inline
export function manifestDigest(manifest: usize): u64 {
  return load<u64>(manifest);
}


@inline
export function manifestCount(manifest: usize): u32 {
  return load<u32>(manifest, 8);
}


@inline
export function manifestNames(manifest: usize): u32 {
  return load<u32>(manifest, 12);
}

/** The manifest of a ring slot in the scratch buffer with consistent lengths, or 0. */
export function readManifest(slot: i32): usize {
  if (slot < 0 || shared.read(Kind.Manifest, slot) != Status.Ok) return 0;
  const manifest = value();
  const length = valueLength();
  if (length < MANIFEST_HEADER) return 0;
  const count = <u64>manifestCount(manifest);
  const whole = <u64>MANIFEST_HEADER + manifestNames(manifest) + count * 4;
  return whole == <u64>length ? manifest : 0;
}
