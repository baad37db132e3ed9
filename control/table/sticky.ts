import { largestFlow } from "./flow.ts";
import { MIN_SLOTS } from "./limits.ts";
import { evenly, smoothOrder } from "./order.ts";
import { quotasOf } from "./quotas.ts";

/**
 * The session table: which target owns each slot, kept from epoch to epoch.
 *
 * - The next table moves exactly the least number of slots that the new quotas force (half the L1 distance of the quotas).
 * - Each slot has a home: its owner in the base table. Of all least moves, one is taken that leaves the fewest slots away
 *   from home, so that a drain and its return end where they began.
 * - Drains of several targets that overlap do not always end there by least moves: rounding leaves two targets with a slot of
 *   each other's. The step that brings the quotas back to their base sends such strays home too. It is the only one that moves
 *   more than it must: one to three slots in most such returns, nine at most in the thousands tried, whatever the size of the
 *   table. More than `MAX_STRAYS` are left: when one target comes back in the very step in which another leaves, sessions go
 *   from one straight to the other, and to bring all of them home later would move each of them once more without need.
 * - Slots are the top bits of a hash of the session key, so when M doubles, slot s becomes slots 2s and 2s + 1.
 */

/** Strays that go home with the last step of a return, beyond the least moves; and at most a sixteenth of all slots. */
export const MAX_STRAYS = 16;

/** Owner of a slot that has none any more: its target left the service. */
export const NO_OWNER = -1;

/**
 * The base table: a pure function of the base shares and the number of slots, so it survives any restart. At 256 slots it
 * is the smooth order of the base quotas; each doubling doubles the slots and then moves the fewest that rounding asks for,
 * so that a session's home stays the same when M grows.
 */
export function homeTable(basePpm: readonly number[], slots: number): Uint8Array {
  let size = MIN_SLOTS;
  let home = smoothOrder(quotasOf(basePpm, size));
  while (size < slots) {
    size *= 2;
    const doubled = doubleSlots(Int16Array.from(home));
    home = nextSticky({ previous: doubled, quotas: quotasOf(basePpm, size), home: null });
  }
  return home;
}

/** Each slot becomes two neighbours with the same owner. */
export function doubleSlots(owners: Int16Array): Int16Array {
  const doubled = new Int16Array(owners.length * 2);
  for (let slot = 0; slot < doubled.length; slot++) doubled[slot] = owners[slot >> 1]!;
  return doubled;
}

/** The least number of slots that any table with these quotas must move away from `previous`. */
export function leastMoves(previous: Int16Array, quotas: readonly number[]): number {
  const counts = quotas.map(() => 0);
  let moves = 0;
  for (const owner of previous) {
    if (owner === NO_OWNER) moves++;
    else counts[owner]! += 1;
  }
  for (const [i, count] of counts.entries()) moves += Math.max(0, count - quotas[i]!);
  return moves;
}

/**
 * The next table. `previous` holds target indexes of *this* table (or NO_OWNER), `home` the base table of the same size;
 * null means that no slot has a home.
 */
export function nextSticky(input: {
  previous: Int16Array;
  quotas: readonly number[];
  home: Uint8Array | null;
}): Uint8Array {
  const { previous, quotas, home } = input;
  const targets = quotas.length;
  const slots = previous.length;
  if (quotas.reduce((a, b) => a + b, 0) !== slots) throw new Error("sticky quotas do not sum to the number of slots");
  if (home !== null && home.length !== slots) throw new Error("home table and previous table differ in size");

  // The donor after the last target is "nobody": all its slots must find an owner.
  const nobody = targets;
  const owned: number[][] = Array.from({ length: targets + 1 }, () => []);
  for (let slot = 0; slot < slots; slot++) {
    const owner = previous[slot]!;
    owned[owner === NO_OWNER ? nobody : owner]!.push(slot);
  }
  const surplus = owned.map((list, i) => (i === nobody ? list.length : Math.max(0, list.length - quotas[i]!)));
  const deficit = quotas.map((quota, i) => Math.max(0, quota - owned[i]!.length));

  // away[d][h]: slots of donor d whose home is h ≠ d, in order.
  const away: number[][][] = owned.map((list, d) => {
    const byHome: number[][] = quotas.map(() => []);
    if (home !== null && surplus[d]! > 0)
      for (const slot of list) if (home[slot] !== d) byHome[home[slot]!]!.push(slot);
    return byHome;
  });
  const goHome = largestFlow(surplus, deficit, (d, h) => away[d]![h]!.length);

  const next = Uint8Array.from(previous, (owner) => (owner === NO_OWNER ? 0 : owner));
  const left = [...deficit];
  const given: number[] = [];
  for (let d = 0; d <= targets; d++) {
    let toGive = surplus[d]!;
    if (toGive === 0) continue;
    const stillAway: number[] = [];
    for (let h = 0; h < targets; h++) {
      const candidates = away[d]![h]!;
      const count = goHome[d]![h]!;
      const chosen = new Set(evenly(count, candidates.length).map((k) => candidates[k]!));
      for (const slot of candidates) {
        if (chosen.has(slot)) next[slot] = h;
        else stillAway.push(slot);
      }
      toGive -= count;
      left[h]! -= count;
    }
    // What else must go: first slots that are not at home here anyway, then slots that are, spread evenly over each group.
    stillAway.sort((a, b) => a - b);
    const fromAway = Math.min(toGive, stillAway.length);
    for (const k of evenly(fromAway, stillAway.length)) given.push(stillAway[k]!);
    toGive -= fromAway;
    if (toGive > 0) {
      const rest = home === null ? owned[d]! : owned[d]!.filter((slot) => home[slot] === d);
      for (const k of evenly(toGive, rest.length)) given.push(rest[k]!);
    }
  }
  // Receivers take turns in smooth order, home by home: so each gets its part of every home's slots, and has them to give
  // back in whatever order the homes return.
  given.sort((a, b) => (home === null ? 0 : home[a]! - home[b]!) || a - b);
  const turns = smoothOrder(left);
  for (const [k, slot] of given.entries()) next[slot] = turns[k]!;
  return home !== null && isAlmost(next, home) ? Uint8Array.from(home) : next;
}

/** True when all quotas are those of the base table and few slots are away from it. */
function isAlmost(table: Uint8Array, home: Uint8Array): boolean {
  const balance = new Int32Array(256);
  let strays = 0;
  for (const [slot, owner] of table.entries()) {
    if (owner === home[slot]) continue;
    strays++;
    balance[owner]! += 1;
    balance[home[slot]!]! -= 1;
  }
  return strays <= Math.min(MAX_STRAYS, table.length >> 4) && balance.every((count) => count === 0);
}
