// Seeding after a trap, and its brake. A reloaded VM serves its first requests before its first tick, so it takes the
// sets from shared data inside on_configure. If that set is what trapped, it would trap for ever: every seeding is noted in
// a log in shared data, and a VM that finds an earlier seeding of the same set that died starts empty instead.
//
// An entry dies with its VM. Seeding: the VM trapped while copying and verifying. Serving: it ticked or took a request and
// then fell silent before 100 good ticks. Seeded, and neither ticked nor asked, is a canary: it proves nothing.
//
//     entry: 0 u64 incarnation   8 u64 set digest   16 u64 monotonic ns of the last sign   24 u32 state   28 u32 -

import { monotonicNs } from "./host";
import { SEED_LOG_BYTES, seedLog } from "./memory";
import { own } from "./sync-board";
import { active, readHeader, staged } from "./sync-header";
import { Kind } from "./sync-keys";
import { quarantine, seedSets } from "./sync-member";
import * as shared from "./sync-shared";

export namespace SeedState {
  export const Free: u32 = 0;
  export const Seeding: u32 = 1;
  export const Seeded: u32 = 2;
  export const Serving: u32 = 3;
}


@unmanaged
class SeedEntry {
  incarnation: u64;
  digest: u64;
  lastSign: u64;
  state: u32;
  unused: u32;
}
const ENTRY_BYTES: usize = 32;
/** More VMs than seed within ten seconds; the oldest entry makes room. */
const ENTRIES: usize = 64;

/** Silent for so long is dead: five ticks. All threads of a process read the same monotonic clock. */
const SILENT_AFTER_NS: u64 = 500_000_000;
export const GOOD_TICKS: u32 = 100;

let onProbation: bool = false;
let goodTicks: u32 = 0;
let seedDigest: u64 = 0;

function entry(i: usize): SeedEntry {
  return changetype<SeedEntry>(seedLog() + i * ENTRY_BYTES);
}

/** In on_configure of a VM that holds nothing. */
export function seed(): void {
  onProbation = false;
  if (!readHeader() || (active.slot < 0 && staged.slot < 0)) return;
  seedDigest = active.slot >= 0 ? active.digest : staged.digest;
  if (hasDied(seedDigest)) {
    quarantine();
    return;
  }
  onProbation = true;
  goodTicks = 0;
  note(SeedState.Seeding);
  seedSets();
  note(SeedState.Seeded);
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

function hasDied(digest: u64): bool {
  if (!shared.readRecord(Kind.Seeds, 0, seedLog(), SEED_LOG_BYTES)) return false;
  const now = monotonicNs();
  for (let i: usize = 0; i < ENTRIES; i++) {
    const e = entry(i);
    if (e.state != SeedState.Seeding && e.state != SeedState.Serving) continue;
    if (e.digest == digest && now - e.lastSign > SILENT_AFTER_NS) return true;
  }
  return false;
}

/** Writes this VM's entry. Several VMs write the same record: a few tries, and the next tick is another. */
function note(state: u32): void {
  for (let attempt = 0; attempt < 8; attempt++) {
    shared.readRecord(Kind.Seeds, 0, seedLog(), SEED_LOG_BYTES);
    const cas = shared.cas;
    let mine: usize = 0;
    for (let i: usize = 0; i < ENTRIES; i++) {
      const e = entry(i);
      if (e.incarnation == own.incarnation) {
        mine = i;
        break;
      }
      const best = entry(mine);
      // A free one, else the one that has been silent longest.
      if (best.state != SeedState.Free && (e.state == SeedState.Free || e.lastSign < best.lastSign)) mine = i;
    }
    const e = entry(mine);
    e.incarnation = own.incarnation;
    e.digest = seedDigest;
    e.lastSign = monotonicNs();
    e.state = state;
    if (shared.write(Kind.Seeds, 0, seedLog(), SEED_LOG_BYTES, cas)) return;
  }
}
