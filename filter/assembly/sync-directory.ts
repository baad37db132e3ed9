// The leader's directory of the table store in shared data: which digest lies at which index. Rebuilt from the manifests
// of all sets that are kept; what no kept set uses is free. Lives behind the two regions.
//
//     digests u64 × entries   slots u32 × power of two (index + 1, open addressing by digest)

import { Status } from "./abi";
import { config } from "./config";
import { KEPT_SETS, manifestCount, manifestNames, MANIFEST_HEADER, readManifest, refAt, REFS } from "./sync-header";
import { Kind } from "./sync-keys";
import * as shared from "./sync-shared";

/** Staged, kept, and the one being fetched. */
const SETS: u32 = KEPT_SETS + 2;

let digests: usize = 0;
let slots: usize = 0;
let entries: u32 = 0;
let mask: u32 = 0;
let cursor: u32 = 0;

function slotCount(): u32 {
  return 1 << (32 - clz(config.maxServices * SETS * 2 - 1));
}

export function directoryBytes(): usize {
  return <usize>config.maxServices * SETS * 8 + ((<usize>slotCount()) << 2);
}

/** `at` is 0 when there was no memory: then nothing can be stored. */
export function placeDirectory(at: usize): void {
  digests = at;
  entries = at == 0 ? 0 : config.maxServices * SETS;
  slots = at + ((<usize>entries) << 3);
  mask = slotCount() - 1;
}

/** Reads the manifests of the staged, the active and the kept sets of the header's copy. */
export function rebuildDirectory(): void {
  if (entries == 0) return;
  memory.fill(digests, 0, directoryBytes());
  cursor = 0;
  for (let i: u32 = 1; i < REFS; i++) addManifest(refAt(i).slot);
}

function addManifest(slot: i32): void {
  const manifest = readManifest(slot);
  if (manifest == 0) return;
  const count = manifestCount(manifest);
  const end = manifest + MANIFEST_HEADER + manifestNames(manifest);
  let at = manifest + MANIFEST_HEADER;
  for (let i: usize = 0; i < <usize>count && at < end; i++) {
    at += 2 + <usize>load<u16>(at);
    put(load<u64>(at), load<u32>(end + (i << 2)));
    at += 8;
  }
}

function put(digest: u64, index: u32): void {
  if (index >= entries || digest == 0) return;
  store<u64>(digests + ((<usize>index) << 3), digest);
  for (let slot = (<u32>digest) & mask; ; slot = (slot + 1) & mask) {
    const there = load<u32>(slots + ((<usize>slot) << 2));
    if (there == index + 1) return;
    if (there == 0) {
      store<u32>(slots + ((<usize>slot) << 2), index + 1);
      return;
    }
  }
}

/** The index at which a table lies, -1 when it must be fetched. */
export function findDigest(digest: u64): i32 {
  if (entries == 0) return -1;
  let slot = (<u32>digest) & mask;
  let there = load<u32>(slots + ((<usize>slot) << 2));
  while (there != 0) {
    if (load<u64>(digests + ((<usize>(there - 1)) << 3)) == digest) return there - 1;
    slot = (slot + 1) & mask;
    there = load<u32>(slots + ((<usize>slot) << 2));
  }
  return -1;
}

/**
 * Writes a table at a free index, -1 when there is none or the host refuses. Written by compare-and-swap against what lay
 * there, so that a leader that was paused before this write cannot put its table over the one of its successor.
 */
export function storeTable(digest: u64, table: usize, length: usize): i32 {
  while (cursor < entries && load<u64>(digests + ((<usize>cursor) << 3)) != 0) cursor++;
  if (cursor >= entries) return -1;
  const status = shared.read(Kind.Table, cursor);
  if (status != Status.Ok && status != Status.NotFound) return -1;
  if (!shared.write(Kind.Table, cursor, table, length, shared.cas)) return -1;
  put(digest, cursor);
  return cursor;
}
