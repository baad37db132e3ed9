// Copies a set out of shared data into the spare region, a bounded part per callback, and verifies every table again:
// what was put there by another VM is bytes from outside like any other.

import { Status } from "./abi";
import { isSameText } from "./bytes";
import { config } from "./config";
import { value, valueLength } from "./host";
import { loadedManifest } from "./memory";
import { Reason } from "./reason";
import { addTable, empty, findTable, Region } from "./store";
import { own, publish } from "./sync-board";
import {
  manifestCount,
  manifestDigest,
  manifestNames,
  MANIFEST_HEADER,
  readHeader,
  readManifest,
  SetRef,
} from "./sync-header";
import { Kind } from "./sync-keys";
import * as shared from "./sync-shared";
import { tableDigest, tableLength, tableService, verifyTable } from "./table";
import { xxh64 } from "./xxh64";

export namespace Loaded {
  /** The set is whole in the spare region. */
  export const Done: u32 = 0;
  /** More to copy: call again soon. */
  export const More: u32 = 1;
  /** What was read is being replaced: look at the header again at the next tick. */
  export const Torn: u32 = 2;
  /** The set is bad for good; `loadFault` says why. */
  export const Refused: u32 = 3;
}

/** Bytes of tables that one callback copies and verifies at most (one table more may begin below it). */
const BYTES_PER_CALL: u32 = 128 << 10;
const TABLES_PER_CALL: u32 = 96;

let loading: bool = false;
let slot: i32 = -1;
let digest: u64 = 0;
/** Next entry, and where its name begins in the manifest. */
let next: u32 = 0;
let nameAt: usize = 0;
export let loadFault: u32 = 0;

export function abandonLoad(): void {
  loading = false;
  own.reading = -1;
}

/**
 * Goes on copying the set of `ref` into `spare`; begins anew when it is another set than at the last call. Tables that
 * `inUse` holds with the same digest are copied from there. `whole` copies all in one call (seeding, before any request).
 */
export function loadSet(ref: SetRef, spare: Region, inUse: Region | null, whole: bool): u32 {
  if (!loading | (slot != ref.slot) | (digest != ref.digest)) {
    loading = false;
    empty(spare);
    // Before the first byte is read, the leader must be able to see that this slot is being read.
    own.reading = ref.slot;
    if (!whole && !publish()) return Loaded.Torn;
    const outcome = beginLoad(ref);
    if (outcome != Loaded.More) {
      own.reading = -1;
      return outcome;
    }
  }
  const outcome = copyTables(spare, inUse, whole);
  if (outcome == Loaded.Done) {
    spare.complete = true;
    spare.digest = digest;
  }
  if (outcome != Loaded.More) abandonLoad();
  return outcome;
}

function beginLoad(ref: SetRef): u32 {
  const wantedSlot = ref.slot;
  const wantedDigest = ref.digest;
  const manifest = readManifest(wantedSlot);
  if (manifest == 0 || manifestDigest(manifest) != wantedDigest) return Loaded.Torn;
  // It came through the scratch buffer, which is as large as the one it goes to.
  memory.copy(loadedManifest(), manifest, valueLength());
  if (xxh64(loadedManifest() + MANIFEST_HEADER, manifestNames(loadedManifest()), 0) != wantedDigest) return Loaded.Torn;
  // The second look: the header, read anew into what `ref` points at, must still say the same.
  if (!readHeader() | (ref.slot != wantedSlot) | (ref.digest != wantedDigest)) return Loaded.Torn;
  if (manifestCount(loadedManifest()) > config.maxServices) return refuse(Reason.SetTooLarge);
  if (manifestCount(loadedManifest()) == 0) return refuse(Reason.SetEmpty);
  loading = true;
  slot = wantedSlot;
  digest = wantedDigest;
  next = 0;
  nameAt = loadedManifest() + MANIFEST_HEADER;
  return Loaded.More;
}

function copyTables(spare: Region, inUse: Region | null, whole: bool): u32 {
  const count = manifestCount(loadedManifest());
  const names = loadedManifest() + MANIFEST_HEADER;
  const namesEnd = names + manifestNames(loadedManifest());
  let tables: u32 = 0;
  let bytes: u32 = 0;
  while (next < count) {
    if (!whole && (tables >= TABLES_PER_CALL || bytes >= BYTES_PER_CALL)) return Loaded.More;
    // The names are what their hash says; this bounds the walk over them all the same. A last one cannot leave the buffers.
    if (nameAt >= namesEnd) return Loaded.Torn;
    const nameLength = <usize>load<u16>(nameAt);
    const name = nameAt + 2;
    const wanted = load<u64>(name + nameLength);
    const known = inUse !== null ? findTable(inUse, name, nameLength) : null;
    let table: usize;
    if (known !== null && tableDigest(known.table) == wanted) table = known.table;
    else {
      if (shared.read(Kind.Table, load<u32>(namesEnd + ((<usize>next) << 2))) != Status.Ok) return Loaded.Torn;
      table = value();
      const fault = verifyTable(table, valueLength());
      // The leader verified the same bytes before it wrote them: other bytes mean that the place is being reused.
      if ((fault == Reason.TableDigest) | ((fault == Reason.None) & (tableDigest(table) != wanted))) return Loaded.Torn;
      if (fault != Reason.None) return refuse(fault);
      if (!isSameText(tableService(table), nameAt)) return refuse(Reason.TableService);
    }
    // Of a verified table this is also the length of its bytes.
    bytes += <u32>tableLength(table);
    const fault = addTable(spare, table, tableLength(table));
    if (fault != Reason.None) return refuse(fault);
    tables++;
    next++;
    nameAt = name + nameLength + 8;
  }
  return nameAt == namesEnd ? Loaded.Done : Loaded.Torn;
}

function refuse(reason: u32): u32 {
  loadFault = reason;
  return Loaded.Refused;
}
