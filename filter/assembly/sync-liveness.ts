// The leader's watch over the board: who beats, who is dead, and whether the membership has settled since it leads.

import { WATCH_BYTES, watchBuffer } from "./memory";
import { gauge, Gauge } from "./metrics";
import { MAX_MEMBERS, memberAt, MemberRecord, MemberState, RECORD_BYTES } from "./sync-board";
import { Kind } from "./sync-keys";
import * as shared from "./sync-shared";
import { isSilent, Watch } from "./sync-watch";

/** Behind the watches of the members: the one of the membership as a whole. */
function watchAt(number: u32): Watch {
  return changetype<Watch>(watchBuffer() + <usize>number * offsetof<Watch>());
}

let settled: bool = false;

export function resetMembers(): void {
  memory.fill(watchBuffer(), 0, WATCH_BYTES);
  settled = false;
}

/** True once the membership was unchanged for a second and ten ticks since this VM leads; later changes do not unsettle. */
export function isSettled(): bool {
  return settled;
}

/** Once per tick of the leader. */
export function tickMembers(now: u32): void {
  let membership: u64 = 0;
  let members: u64 = 0;
  let quarantined: u64 = 0;
  let lowestStaged: u64 = u64.MAX_VALUE;
  let lowestActive: u64 = u64.MAX_VALUE;
  for (let number: u32 = 0; number < MAX_MEMBERS; number++) {
    const there = memberAt(number);
    if (there == 0) break;
    const member = changetype<MemberRecord>(there);
    if (member.state == MemberState.Free) continue;
    if (isSilent(watchAt(number), member.incarnation + member.beats, now)) {
      // Declared dead, unless it gave a sign since it was read: then the write fails.
      member.state = MemberState.Free;
      shared.write(Kind.Member, number, there, RECORD_BYTES, shared.cas);
      continue;
    }
    membership = rotl(membership, 9) ^ (member.incarnation + number);
    if (member.state != MemberState.Counting) continue;
    members++;
    quarantined += member.quarantined;
    lowestStaged = min(lowestStaged, member.stagedEpoch);
    lowestActive = min(lowestActive, member.activeEpoch);
  }
  gauge(Gauge.Members, members);
  gauge(Gauge.SeedQuarantined, quarantined);
  gauge(Gauge.EpochStaged, members == 0 ? 0 : lowestStaged);
  gauge(Gauge.EpochActive, members == 0 ? 0 : lowestActive);
  settled = isSilent(watchAt(MAX_MEMBERS), membership, now) || settled;
}
