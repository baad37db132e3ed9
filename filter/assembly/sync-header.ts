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
import * as shared from "./sync-shared";

/** Sets that stay in shared data after their activation, the active one included: a rollback finds them there. */
export const KEPT_SETS: u32 = 3;
/** Ring slots for manifests: staged, kept, the next, and some that members may still be reading. */
export const RING_SLOTS: u32 = 8;


@unmanaged
export class SetRef {
  term: u64;
  epoch: u64;
  digest: u64;
  /** -1 when there is none. */
  slot: i32;
  /** Of the active set: ballast.v1.Mode. */
  mode: u32;
}
export const SET_REF_BYTES: usize = 32;

const HEADER_BYTES: usize = 6 * 32;
const HEADER = memory.data(192, 8);

/** The highest stage ever seen, refused or not: an epoch belongs to one digest for ever. */
export const seen: SetRef = changetype<SetRef>(HEADER);
export const staged: SetRef = changetype<SetRef>(HEADER + 32);
export const active: SetRef = changetype<SetRef>(HEADER + 64);
export function kept(i: u32): SetRef {
  return changetype<SetRef>(HEADER + 96 + i * 32);
}

let cas: u32 = 0;

function none(ref: SetRef): void {
  ref.slot = -1;
}

/** Copies the header in. An absent one reads as no sets. False only when the host fails. */
export function readHeader(): bool {
  const there = shared.readRecord(Kind.Header, 0, HEADER, HEADER_BYTES);
  cas = shared.cas;
  if (!there)
    for (let i: usize = 0; i < 6; i++)
      none(changetype<SetRef>(HEADER + i * SET_REF_BYTES));
  return cas != 0;
}

/** Publishes the changed copy. False when another leader was quicker: read again and decide anew. */
export function writeHeader(): bool {
  return shared.write(Kind.Header, 0, HEADER, HEADER_BYTES, cas);
}

/** True when the header still says that this set lies in this slot. Reads the header anew (the seqlock's second look). */
export function stillThere(slot: i32, digest: u64): bool {
  if (!readHeader()) return false;
  return (
    (staged.slot == slot && staged.digest == digest) ||
    (active.slot == slot && active.digest == digest)
  );
}

/** True for a slot that holds the staged, the active or a kept set. */
export function isRetained(slot: i32): bool {
  for (let i: usize = 1; i < 6; i++)
    if (changetype<SetRef>(HEADER + i * SET_REF_BYTES).slot == slot)
      return true;
  return false;
}

/** Makes the staged set the active one, keeping those before it. */
export function activateStaged(term: u64, mode: u32): void {
  if (active.slot != staged.slot || active.epoch != staged.epoch) {
    memory.copy(
      HEADER + 96 + 32,
      HEADER + 96,
      (<usize>KEPT_SETS - 1) * SET_REF_BYTES,
    );
    memory.copy(HEADER + 64, HEADER + 32, SET_REF_BYTES);
    memory.copy(HEADER + 96, HEADER + 64, SET_REF_BYTES);
  }
  active.term = term;
  active.mode = mode;
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
