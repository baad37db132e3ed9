// The leader's directory of the table store in shared data: which of its indexes the sets that are kept use, and at which of
// them lie tables of the set being staged. Made anew from the manifests for every stage. Lives behind the two regions.
//
//     used u8 × entries

import { afterText, compareTexts } from "./bytes";
import { config } from "./config";
import { KEPT_SETS, manifestNames, MANIFEST_HEADER, readManifest, refAt, REFS } from "./sync-header";
import { Kind } from "./sync-keys";
import { stillHolds } from "./sync-lease";
import * as shared from "./sync-shared";

/** Staged, kept, and the one being fetched. */
const SETS: u32 = KEPT_SETS + 2;

/** One service of the set that is being staged. */
@unmanaged
export class Entry {
  digest: u64;
  /** Store index of its table, -1 while that is missing. */
  index: i32;
  /** u16-prefixed, in the manifest. */
  name: usize;
}

let used: usize = 0;
let cursor: u32 = 0;

/** Room for the directory; also the number of its entries, one byte each. */
export function directoryBytes(): u32 {
  return config.maxServices * SETS;
}

/** `at` is 0 when there was no memory: then nothing can be stored. */
export function placeDirectory(at: usize): void {
  used = at;
  cursor = directoryBytes();
}

/** Goes over the staged, the active and the kept sets of the header's copy; notes where the tables of these entries lie. */
export function findTables(entries: usize, count: u32): void {
  if (used == 0) return;
  memory.fill(used, 0, directoryBytes());
  cursor = 0;
  for (let i: u32 = 1; i < REFS; i++) addManifest(refAt(i).slot, entries, entries + <usize>count * offsetof<Entry>());
}

/** Manifest and entries are both in the order of their names, so one walk finds the services that they share. */
function addManifest(slot: i32, entry: usize, entriesEnd: usize): void {
  const manifest = readManifest(slot);
  if (manifest == 0) return;
  let index = manifest + MANIFEST_HEADER + manifestNames(manifest);
  const end = index;
  for (let name = manifest + MANIFEST_HEADER; name < end; index += 4) {
    const at = load<u32>(index);
    const digest = load<u64>(afterText(name));
    if (at < directoryBytes()) {
      store<u8>(used + at, 1);
      while (entry < entriesEnd && compareTexts(changetype<Entry>(entry).name, name) < 0) entry += offsetof<Entry>();
      // A digest is also over the service's name.
      if ((entry < entriesEnd) & (changetype<Entry>(entry).digest == digest)) changetype<Entry>(entry).index = at;
    }
    name = afterText(name) + 8;
  }
}

/**
 * Writes a table at a free index, -1 when there is none or the host refuses. Free is what this leader knows as free: so it is
 * written by compare-and-swap against what lay there before this VM was seen to lead still. A successor that came before puts
 * an end to it there, and one that came after changed what it compares with.
 */
export function storeTable(table: usize, length: usize): i32 {
  while (cursor < directoryBytes() && load<u8>(used + cursor) != 0) cursor++;
  if (cursor >= directoryBytes()) return -1;
  // If this fails, its cas forbids the write.
  shared.read(Kind.Table, cursor);
  const cas = shared.cas;
  return stillHolds() && shared.write(Kind.Table, cursor, table, length, cas) ? cursor++ : -1;
}
