import { distance, type Shares, sum } from "./shares.ts";

/** Steps of at most `limitPpm` per target that a move needs. */
export function stepsNeeded(from: Shares, to: Shares, limitPpm: number): number {
  return Math.ceil(distance(from, to) / limitPpm);
}

/**
 * One step from `current` towards `goal`: all targets move in proportion, none by more than `limitPpm`, the sum stays.
 * Fractions of a ppm are given to the side (gaining or losing) that lost more of them, so that the largest mover gets its
 * whole limit and a move of n limits takes n steps and not n + 1.
 */
export function stepToward(current: Shares, goal: Shares, limitPpm: number): number[] {
  const most = distance(current, goal);
  if (most <= limitPpm) return [...goal];
  const exact = current.map((v, i) => ((goal[i]! - v) * limitPpm) / most);
  const moves = exact.map(Math.trunc);
  let surplus = sum(moves);
  const sign = surplus > 0 ? -1 : 1;
  const order = exact
    .map((_, i) => i)
    .filter((i) => Math.sign(exact[i]! - moves[i]!) === sign)
    .sort((a, b) => Math.abs(exact[b]! - moves[b]!) - Math.abs(exact[a]! - moves[a]!) || a - b);
  for (const i of order) {
    if (surplus === 0) break;
    moves[i] = moves[i]! + sign;
    surplus += sign;
  }
  if (surplus !== 0) throw new Error("a step must keep the sum of shares");
  return current.map((v, i) => v + moves[i]!);
}

/**
 * Takes the whole share of `leaving` at once and gives it to the targets that are below their goal, in proportion to what
 * they lack, so that nobody is pushed past the goal. The goal must be zero for those that leave.
 */
export function leaveAtOnce(current: Shares, goal: Shares, leaving: readonly boolean[]): number[] {
  const freed = sum(current.map((v, i) => (leaving[i] ? v : 0)));
  const lack = current.map((v, i) => (leaving[i] ? 0 : Math.max(0, goal[i]! - v)));
  const totalLack = sum(lack);
  const kept = current.map((v, i) => (leaving[i] ? 0 : v));
  if (freed === 0) return kept;
  // The goals of those that leave are zero, so the others lack at least what is freed.
  if (totalLack < freed) throw new Error("nobody can take over the share that is freed");
  const exact = lack.map((l) => (freed * l) / totalLack);
  const given = exact.map(Math.floor);
  let missing = freed - sum(given);
  const order = exact.map((_, i) => i).sort((a, b) => exact[b]! - given[b]! - (exact[a]! - given[a]!) || a - b);
  for (const i of order) {
    if (missing === 0) break;
    given[i] = given[i]! + 1;
    missing--;
  }
  return kept.map((v, i) => v + given[i]!);
}
