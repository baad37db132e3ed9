// Seeding after a trap, and its brake. A reloaded VM serves its first requests before its first tick, so it takes the
// sets from shared data inside on_configure. If that set is what trapped, it would trap for ever: every seeding is noted in
// a log in shared data, and a VM that finds an earlier seeding of the same set that died starts empty instead.
//
// An entry dies with its VM. Seeding: the VM trapped while copying and verifying. Serving: it ticked or took a request and
// then fell silent before 100 good ticks. One that was seeded and neither ticked nor asked is a canary and proves nothing.
//
//     256 entries: 0 u64 set digest   8 u32 monotonic ms of the last sign   12 u32 state
//
// A VM's entry is the one that its random incarnation points at. Two of a dozen VMs share one once in 30 times, and then
// one death goes unseen: the next attempt has another incarnation.

import { monotonicMs } from "./host";
import { SEED_LOG_BYTES, seedLog } from "./memory";
import { own } from "./sync-board";
import { active, readHeader, staged } from "./sync-header";
import { Kind } from "./sync-keys";
import { quarantine, seedSets } from "./sync-member";
import * as shared from "./sync-shared";

/** Seeding and Serving count when they fall silent; everything else is Free. */
export namespace SeedState {
  export const Free: u32 = 0;
  export const Seeding: u32 = 1;
  export const Serving: u32 = 2;
}


@unmanaged
class SeedEntry {
  digest: u64;
  lastSign: u32;
  state: u32;
}
const ENTRIES: u64 = 256;

/** Silent for so long is dead: five ticks. All threads of a process read the same monotonic clock. */
const SILENT_AFTER_MS: u32 = 500;
export const GOOD_TICKS: u32 = 100;

let onProbation: bool = false;
let goodTicks: u32 = 0;
let seedDigest: u64 = 0;

function entry(i: u64): SeedEntry {
  return changetype<SeedEntry>(seedLog() + <usize>i * offsetof<SeedEntry>());
}

/** In on_configure of a VM that holds nothing. */
export function seed(): void {
  onProbation = false;
  if (!readHeader() | ((active.slot & staged.slot) < 0)) return;
  seedDigest = active.slot >= 0 ? active.digest : staged.digest;
  if (hasDied(seedDigest)) {
    quarantine();
    return;
  }
  onProbation = true;
  goodTicks = 0;
  note(SeedState.Seeding);
  seedSets();
  note(SeedState.Free);
}

/** At the first request of a seeded VM, if it comes before the first tick. */
export function markServing(): void {
  if (onProbation) note(SeedState.Serving);
}

/** Every tick: a sign of life, and after 100 of them the all-clear. */
export function tickSeed(): void {
  if (!onProbation) return;
  if (++goodTicks < GOOD_TICKS) {
    note(SeedState.Serving);
    return;
  }
  onProbation = false;
  note(SeedState.Free);
}

function readLog(): bool {
  return shared.readRecord(Kind.Seeds, 0, seedLog(), SEED_LOG_BYTES);
}

function hasDied(digest: u64): bool {
  if (!readLog()) return false;
  const now = monotonicMs();
  for (let i: u64 = 0; i < ENTRIES; i++) {
    const e = entry(i);
    if ((e.state != SeedState.Free) & (e.digest == digest) & (now - e.lastSign > SILENT_AFTER_MS)) return true;
  }
  return false;
}

/** Writes this VM's entry. Several VMs write the same record: a few tries, and the next tick is another. */
function note(state: u32): void {
  for (let attempt = 0; attempt < 8; attempt++) {
    readLog();
    const cas = shared.cas;
    const e = entry(own.incarnation % ENTRIES);
    e.digest = seedDigest;
    e.lastSign = monotonicMs();
    e.state = state;
    if (shared.write(Kind.Seeds, 0, seedLog(), SEED_LOG_BYTES, cas)) return;
  }
}
