// The leader's watch over the board: who beats, who is dead, and whether the membership has settled since it leads.

import { WATCH_BYTES, watchBuffer } from "./memory";
import { gauge, Gauge } from "./metrics";
import { memberAt, declareDead, MAX_MEMBERS, MemberRecord, MemberState } from "./sync-board";
import { DEAD_AFTER_MS, DEAD_AFTER_TICKS } from "./sync-lease";


@unmanaged
class Watch {
  incarnation: u64;
  beats: u64;
  since: u32;
  ticks: u32;
}

let membership: u64 = 0;
let unchangedSince: u32 = 0;
let unchangedTicks: u32 = 0;
let settled: bool = false;

export function resetMembers(): void {
  memory.fill(watchBuffer(), 0, WATCH_BYTES);
  membership = 0;
  unchangedTicks = 0;
  unchangedSince = 0;
  settled = false;
}

/** True once the membership was unchanged for a second and ten ticks since this VM leads; later changes do not unsettle. */
export function isSettled(): bool {
  return settled;
}

/** Once per tick of the leader. */
export function tickMembers(now: u32): void {
  let hash: u64 = 0;
  let members: u64 = 0;
  let quarantined: u64 = 0;
  let lowestStaged: u64 = u64.MAX_VALUE;
  let lowestActive: u64 = u64.MAX_VALUE;
  for (let number: u32 = 0; number < MAX_MEMBERS; number++) {
    const there = memberAt(number);
    if (there == 0) break;
    const member = changetype<MemberRecord>(there);
    if (member.state == MemberState.Free) continue;
    const watch = changetype<Watch>(watchBuffer() + <usize>number * offsetof<Watch>());
    if (watch.incarnation != member.incarnation || watch.beats != member.beats) {
      watch.incarnation = member.incarnation;
      watch.beats = member.beats;
      watch.since = now;
      watch.ticks = 0;
    } else if (++watch.ticks >= DEAD_AFTER_TICKS && now - watch.since >= DEAD_AFTER_MS) {
      if (declareDead(number, watch.incarnation, watch.beats)) continue;
    }
    hash = rotl(hash, 9) ^ watch.incarnation ^ (<u64>number);
    if (member.state != MemberState.Counting) continue;
    members++;
    if (member.quarantined != 0) quarantined++;
    lowestStaged = min(lowestStaged, member.stagedEpoch);
    lowestActive = min(lowestActive, member.activeEpoch);
  }
  if (members == 0) lowestStaged = lowestActive = 0;
  gauge(Gauge.Members, members);
  gauge(Gauge.SeedQuarantined, quarantined);
  gauge(Gauge.EpochStaged, lowestStaged);
  gauge(Gauge.EpochActive, lowestActive);
  if (hash != membership || unchangedTicks == 0) {
    membership = hash;
    unchangedSince = now;
    unchangedTicks = 0;
  }
  if (++unchangedTicks > DEAD_AFTER_TICKS && now - unchangedSince >= DEAD_AFTER_MS) settled = true;
}
