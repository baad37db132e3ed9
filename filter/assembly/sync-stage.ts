// The leader's side of a stage: take the list of a set, find out which tables are not in shared data yet, put those in as
// they arrive, then publish: tables first, manifest next, header last.

import { compareTexts, isName, isSameText } from "./bytes";
import { config } from "./config";
import { entriesBuffer, MANIFEST_BYTES, stagedManifest } from "./memory";
import { bytes as fieldBytes, bytesLength, bytesOf, field, lengthOf, numberOf, readField, readMessage } from "./proto";
import { Reason } from "./reason";
import { isBoardEnd, memberAt, MemberRecord, MemberState } from "./sync-board";
import { Entry, findTables, storeTable } from "./sync-directory";
import {
  active,
  copyId,
  copyRef,
  isRetained,
  isReused,
  isSet,
  MANIFEST_HEADER,
  readHeader,
  RING_SLOTS,
  seen,
  SetId,
  SetRef,
  staged,
  writeHeader,
} from "./sync-header";
import { Kind } from "./sync-keys";
import { stillHolds } from "./sync-lease";
import * as shared from "./sync-shared";
import { putDigestName } from "./sync-wire";
import { tableDigest, tableService, verifyTable } from "./table";
import { xxh64 } from "./xxh64";


@inline
function names(): usize {
  return stagedManifest() + MANIFEST_HEADER;
}
function entryAt(i: u32): Entry {
  return changetype<Entry>(entriesBuffer() + <usize>i * offsetof<Entry>());
}

/** The set that is being staged. */
const incoming: SetRef = changetype<SetRef>(memory.data(32, 8));
let count: u32 = 0;
let namesEnd: usize = 0;
let bytes: u32 = 0;
/** Tables of the list that are not in shared data. */
export let missing: u32 = 0;
let open: bool = false;

export function abandonStage(): void {
  open = false;
  missing = 0;
}

/** True while a set's tables are being fetched or wait to be published. */
export function isStaging(): bool {
  return open;
}

/** Reads what Stage and Activation have in common into `offered`. */
export function readOffer(message: usize, length: usize): bool {
  if (!readMessage(message, length)) return false;
  offered.epoch = numberOf(1);
  offered.term = numberOf(2);
  offered.digest = numberOf(3);
  return offered.epoch != 0;
}

/**
 * Takes a ballast.v1.Stage. None: `incoming` names it, and it is either held already (`isStaging()` false) or being staged
 * (`missing` tables to fetch). Anything else refuses it.
 */
export function takeStage(message: usize, length: usize): u32 {
  if (!readOffer(message, length)) return Reason.Malformed;
  const next = offered;
  if (!readHeader()) return Reason.HandoverFailed;
  if (isReused(next)) return Reason.EpochReused;
  const held = isSet(active, next) || isSet(staged, next);
  if ((next.term < seen.term) | ((next.epoch < seen.epoch) & !held)) return Reason.EpochStale;
  const fault = held ? Reason.None : readList(message, length, next.digest);
  if (fault != Reason.None) return fault;
  copyRef(incoming, next);
  if (next.epoch > seen.epoch) copyId(seen, next);
  seen.term = next.term;
  if (!writeHeader()) return Reason.HandoverFailed;
  open = !held;
  missing = 0;
  if (open) {
    findTables(entriesBuffer(), count);
    for (let i: u32 = 0; i < count; i++) if (entryAt(i).index < 0) missing++;
  }
  return Reason.None;
}
/** What the last Stage or Activation named, taken or refused. */
export const offered: SetRef = changetype<SetRef>(memory.data(32, 8));

/** Turns the list into the names of a manifest, which are also what the set's digest is over. */
function readList(message: usize, length: usize, digest: u64): u32 {
  open = false;
  count = 0;
  bytes = 0;
  let end = names();
  for (const messageEnd = message + length; message < messageEnd;) {
    message = readField(message, messageEnd);
    if (field != 4) continue;
    if (!readMessage(fieldBytes, bytesLength)) return Reason.Malformed;
    const name = bytesOf(1);
    const nameLength = lengthOf(1);
    if (!isName(name, nameLength)) return Reason.SetName;
    // Room for this entry and for the indexes of all.
    const room = end + 2 + nameLength + 8 + ((<usize>count + 1) << 2) <= stagedManifest() + MANIFEST_BYTES;
    if (count == config.maxServices || !room) return Reason.SetTooLarge;
    store<u16>(end, <u16>nameLength);
    memory.copy(end + 2, name, nameLength);
    if (count != 0 && compareTexts(entryAt(count - 1).name, end) >= 0) return Reason.SetOrder;
    const entry = entryAt(count++);
    entry.digest = numberOf(2);
    entry.index = -1;
    entry.name = end;
    end += 2 + nameLength;
    store<u64>(end, numberOf(2));
    end += 8;
  }
  if (count == 0) return Reason.SetEmpty;
  namesEnd = end;
  return xxh64(names(), end - names(), 0) == digest ? Reason.None : Reason.SetDigest;
}

/** Puts the names of the missing tables into the request being built. */
export function nameMissing(): void {
  for (let i: u32 = 0; i < count && missing != 0; i++) if (entryAt(i).index < 0) putDigestName(entryAt(i).digest);
}

/** Takes a ballast.v1.WeightTable. One that nobody asked for is checked and left; `tableTaken` names it in a NACK. */
export function takeTable(message: usize, length: usize): u32 {
  tableTaken.digest = 0;
  if (!readMessage(message, length)) return Reason.Malformed;
  const digest = numberOf(1);
  tableTaken.digest = digest;
  const table = bytesOf(2);
  const size = lengthOf(2);
  const fault = verifyTable(table, size);
  if (fault != Reason.None) return fault;
  if (tableDigest(table) != digest) return Reason.TableDigest;
  const entry = findMissing(digest);
  if (entry === null) return Reason.None;
  if (!isSameText(tableService(table), entry.name)) return Reason.TableService;
  bytes += <u32>size;
  if (bytes > config.maxSetBytes) return Reason.SetTooLarge;
  entry.index = storeTable(table, size);
  if (entry.index < 0) return Reason.HandoverFailed;
  missing--;
  return Reason.None;
}
export const tableTaken: SetId = changetype<SetId>(memory.data(16, 8));

/** The entry that misses this digest, null when none does. */
function findMissing(digest: u64): Entry | null {
  for (let i: u32 = 0; i < count && missing != 0; i++) {
    const entry = entryAt(i);
    if ((entry.digest == digest) & (entry.index < 0)) return entry;
  }
  return null;
}

/** For a stage that `isStaging()` with nothing missing: writes the manifest into a free ring slot and then names it in the header. */
export function publishStage(): bool {
  if (!readHeader()) return false;
  const slot = freeRingSlot();
  if (slot < 0) return false;
  store<u64>(stagedManifest(), incoming.digest);
  store<u32>(stagedManifest(), count, 8);
  store<u32>(stagedManifest(), <u32>(namesEnd - names()), 12);
  for (let i: u32 = 0; i < count; i++) store<i32>(namesEnd + ((<usize>i) << 2), entryAt(i).index);
  const size = namesEnd - stagedManifest() + ((<usize>count) << 2);
  // Read for its cas first: a leader that was paused here cannot overwrite what its successor put into the slot.
  shared.read(Kind.Manifest, slot);
  if (!readHeaderKeepingCas() || isRetained(slot) || !stillHolds()) return false;
  if (!shared.write(Kind.Manifest, slot, stagedManifest(), size, manifestCas)) return false;
  copyRef(staged, incoming);
  staged.slot = slot;
  staged.mode = 0;
  if (!writeHeader()) return false;
  open = false;
  return true;
}

let manifestCas: u32 = 0;
function readHeaderKeepingCas(): bool {
  manifestCas = shared.cas;
  return readHeader();
}

/** A slot that holds no staged, active or kept set and that no live member is reading. */
function freeRingSlot(): i32 {
  let busy: u32 = 0;
  for (let number: u32 = 0; ; number++) {
    const there = memberAt(number);
    if (there == 0) break;
    const member = changetype<MemberRecord>(there);
    if ((member.state != MemberState.Free) & (member.reading >= 0)) busy |= 1 << (member.reading & 31);
  }
  for (let slot: i32 = 0; slot < <i32>RING_SLOTS && isBoardEnd(); slot++) {
    if (!isRetained(slot) & (((busy >> slot) & 1) == 0)) return slot;
  }
  return -1;
}
