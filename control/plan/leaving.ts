import type { Block, TargetState } from "./availability.ts";
import { type GoalContext, goalShares } from "./goal.ts";
import type { TargetMemory } from "./plan.ts";
import type { Shares } from "./shares.ts";
import { stepsNeeded } from "./steps.ts";

/**
 * When targets begin to leave for the windows ahead.
 *
 * The windows ahead, at most one per target, are taken in order of their deadline (start − lead time), those that start
 * together as one. Shares move along the
 * path current → without the first → without the first two → …, so the earliest deadline gets all of the step limit first.
 * A window k is *due* when the steps of the path up to it only just fit before its deadline:
 *
 *     stickyDue_k = min(deadline_k − stickySteps(0…k) · stepTime, start_k − sessionsMoveBefore)
 *     orderDue_k  = stickyDue_k − orderSteps(0…k) · stepTime            (services with sessions)
 *     orderDue_k  = deadline_k − orderSteps(0…k) · stepTime             (services without)
 *
 * So with sessions the requests without one leave first, in their own steps, and then the sessions follow in theirs. The
 * longer of the way from the shares in force and from the shares wanted without the window counts. A target that has begun
 * to leave goes on leaving unless its window disappears or is put off.
 */
export interface Opening {
  index: number;
  block: Block;
  orderDueMs: number;
  stickyDueMs: number;
}

export interface Leaving {
  /** Goal of each quota now; equal for services without sessions. */
  orderGoal: Shares;
  stickyGoal: Shares;
  /** Which targets leave, by index, for the order quota (always a superset of the sticky one's). */
  orderLeaves: boolean[];
  stickyLeaves: boolean[];
  /** The targets that the order goal is planned over. */
  orderAllowed: boolean[];
  openings: Opening[];
}

export interface LeavingInput {
  context: GoalContext;
  nowMs: number;
  /** Usable now. */
  allowed: readonly boolean[];
  goalNow: Shares;
  order: Shares;
  sticky: Shares;
  /** The least time from one step to the next that the caller can keep, ms. */
  stepTimeMs: number;
  memory: ReadonlyMap<number, TargetMemory["leavingForMs"]>;
}

export function planLeaving(input: LeavingInput): Leaving {
  const { context, nowMs, allowed, goalNow, order, sticky, stepTimeMs, memory } = input;
  const { policy, states } = context;
  const path: Stage[] = [];
  let orderSteps = 0;
  let stickySteps = 0;
  let before = { goal: goalNow, allowed: [...allowed] };
  for (const group of aheadOf(states, allowed)) {
    const without = before.allowed.map((a, i) => a && !group.some((o) => o.index === i));
    // The last targets have nobody to leave to. They stay, and the alarm comes when their window forbids them.
    if (!without.some(Boolean)) break;
    const goal = goalShares(context, without);
    const away = (from: Shares): number => stepsNeeded(from, goal, policy.stepLimitPpm);
    orderSteps += path.length === 0 ? Math.max(away(order), away(before.goal)) : away(before.goal);
    stickySteps += path.length === 0 ? Math.max(away(sticky), away(before.goal)) : away(before.goal);
    const startMs = group[0]!.block.startMs;
    const deadlineMs = startMs - policy.leadTimeMs;
    const stickyDueMs = policy.hasSessions
      ? Math.min(deadlineMs - stickySteps * stepTimeMs, startMs - policy.sessionsMoveBeforeMs)
      : deadlineMs;
    const orderDueMs = stickyDueMs - orderSteps * stepTimeMs;
    const due = { orderDueMs, stickyDueMs: policy.hasSessions ? stickyDueMs : orderDueMs };
    path.push({ openings: group.map((o) => ({ ...o, ...due })), allowed: without, goal });
    before = { goal, allowed: without };
  }

  const goes = (quota: "order" | "sticky") => (stage: Stage) =>
    stage.openings.some((opening) => {
      const keptForMs = memory.get(opening.index)?.[quota] ?? null;
      const dueMs = quota === "order" ? opening.orderDueMs : opening.stickyDueMs;
      return nowMs >= dueMs || (keptForMs !== null && opening.block.startMs <= keptForMs);
    });
  const stickyCount = path.findLastIndex(goes("sticky")) + 1;
  const orderCount = Math.max(stickyCount, path.findLastIndex(goes("order")) + 1);
  // Pursue the first stage whose targets still hold a share; the later ones wait for it.
  const pursued = (count: number, shares: Shares): Stage | undefined => {
    const unfinished = path.slice(0, count).findIndex((stage) => stage.openings.some((o) => shares[o.index]! > 0));
    return path[unfinished < 0 ? count - 1 : unfinished];
  };
  const leaves = (count: number): boolean[] => {
    const flags = allowed.map(() => false);
    for (const { index } of path.slice(0, count).flatMap((stage) => stage.openings)) flags[index] = true;
    return flags;
  };
  const orderStage = pursued(orderCount, order);
  const stickyStage = policy.hasSessions ? pursued(stickyCount, sticky) : orderStage;
  return {
    orderGoal: orderStage?.goal ?? goalNow,
    stickyGoal: stickyStage?.goal ?? goalNow,
    orderLeaves: leaves(orderCount),
    stickyLeaves: leaves(policy.hasSessions ? stickyCount : orderCount),
    orderAllowed: orderStage?.allowed ?? [...allowed],
    openings: path.flatMap((stage) => stage.openings),
  };
}

/** A point of the path: these openings are left, on top of those before. */
interface Stage {
  openings: Opening[];
  allowed: boolean[];
  goal: Shares;
}

/** The next blocks of the usable targets, grouped by their start, the earliest first. */
function aheadOf(states: readonly TargetState[], allowed: readonly boolean[]): { index: number; block: Block }[][] {
  const byStart = new Map<number, { index: number; block: Block }[]>();
  states.forEach((state, index) => {
    if (!allowed[index] || state.next === null) return;
    const group = byStart.get(state.next.startMs) ?? [];
    byStart.set(state.next.startMs, [...group, { index, block: state.next }]);
  });
  return [...byStart].sort(([a], [b]) => a - b).map(([, group]) => group);
}
