import type { EstateTarget, TargetWindow } from "../estate/estate.ts";
import type { ServicePolicy, TargetMemory } from "./plan.ts";

/**
 * Windows of one target that leave nothing of it, merged where no traffic could run between them: the next one's lead time
 * begins before the previous one ends.
 */
export interface Block {
  /** Start of the first window and end of the last. */
  startMs: number;
  endMs: number;
  /** In order of start; at least one. */
  windows: TargetWindow[];
}

export type Health = "healthy" | "unhealthy" | "unknown";

/** What one target is good for now. */
export interface TargetState {
  /** The block that forbids the target now, from its lead time to its end. */
  block: Block | null;
  /** A window with nothing remaining is open now (the lead time is over). */
  inWindow: boolean;
  /** The next block whose lead time has not begun. */
  next: Block | null;
  /** The block that ended last. */
  closed: Block | null;
  /** 0 < remaining ≤ 1: the smallest over the windows in effect; windows that overlap are taken to name the same loss. */
  remaining: number;
  /** Windows in effect with something remaining, the most severe first. */
  partial: TargetWindow[];
  health: Health;
  /** Out of service until now, free of windows, but has not been healthy for long enough. */
  waiting: boolean;
  /** When waiting ends if the target stays healthy; null when that cannot be told. */
  readyAtMs: number | null;
  memory: Pick<TargetMemory, "out" | "goodSinceMs">;
}

/** Blocks in order of start. A window that ends before it starts, or has no start, is ignored. */
export function blocksOf(windows: readonly TargetWindow[], leadTimeMs: number): Block[] {
  const full = windows
    .filter((w) => !(w.remaining > 0) && w.startMs < w.endMs)
    .toSorted((a, b) => a.startMs - b.startMs || a.endMs - b.endMs || (a.ticket < b.ticket ? -1 : 1));
  const blocks: Block[] = [];
  for (const window of full) {
    const last = blocks.at(-1);
    if (last !== undefined && window.startMs - leadTimeMs <= last.endMs) {
      last.windows.push(window);
      last.endMs = Math.max(last.endMs, window.endMs);
    } else {
      blocks.push({ startMs: window.startMs, endMs: window.endMs, windows: [window] });
    }
  }
  return blocks;
}

export interface StateInput {
  nowMs: number;
  target: EstateTarget;
  policy: Pick<ServicePolicy, "leadTimeMs" | "returnAfterMs">;
  health: Health;
  memory: TargetMemory | undefined;
  /**
   * The last plan left the target without any share, although its base has one, for a window, an incident or its health. Stands
   * in for lost memory. What a person or the load has set to zero was never out: to say so after a take-over would be wrong.
   */
  wasEmptied: boolean;
  /** It carries traffic now; such a target has nothing to wait for. */
  carries: boolean;
}

export function targetState(input: StateInput): TargetState {
  const { nowMs, target, policy, health, memory } = input;
  const lead = policy.leadTimeMs;
  const blocks = blocksOf(target.windows, lead);
  const block = blocks.find((b) => b.startMs - lead <= nowMs && nowMs < b.endMs) ?? null;
  const next = blocks.find((b) => b.startMs - lead > nowMs) ?? null;
  const open = (w: TargetWindow): boolean => w.startMs <= nowMs && nowMs < w.endMs;
  const inWindow = block?.windows.some(open) ?? false;
  const justClosed = blocks.some((b) => b.endMs <= nowMs && nowMs < b.endMs + policy.returnAfterMs);
  const partial = target.windows
    .filter((w) => w.remaining > 0 && w.remaining < 1 && w.startMs - lead <= nowMs && nowMs < w.endMs)
    .toSorted((a, b) => a.remaining - b.remaining || a.startMs - b.startMs);

  const good = health === "healthy" && !inWindow;
  const goodSinceMs = good ? Math.min(nowMs, memory?.goodSinceMs ?? nowMs) : null;
  const proven = goodSinceMs !== null && nowMs - goodSinceMs >= policy.returnAfterMs;
  const wasOut = memory === undefined ? input.wasEmptied : memory.out;
  const out = health === "unhealthy" || inWindow || justClosed || (wasOut && !proven);
  const waiting = out && block === null && health !== "unhealthy" && !input.carries;
  const closed = blocks.findLast((b) => b.endMs <= nowMs) ?? null;
  const closedAtMs = closed?.endMs ?? Number.NEGATIVE_INFINITY;
  return {
    block,
    inWindow,
    next,
    closed,
    remaining: partial[0]?.remaining ?? 1,
    partial,
    health,
    waiting,
    readyAtMs: waiting && goodSinceMs !== null ? Math.max(goodSinceMs, closedAtMs) + policy.returnAfterMs : null,
    memory: { out, goodSinceMs },
  };
}

export function isAvailable(state: TargetState): boolean {
  return state.block === null && state.health !== "unhealthy" && !state.waiting;
}

/**
 * The targets to use. Normally those that are available. Where there are none, the least bad class that has a member: seen
 * healthy before not known before seen dead, and within that waiting, before its window opens, inside it. `rank` 0 = normal.
 */
export function usableTargets(states: readonly TargetState[]): { allowed: boolean[]; rank: number } {
  const ranks = states.map((s) => {
    if (isAvailable(s)) return 0;
    if (s.health === "unhealthy") return 7;
    const place = s.block === null ? 1 : s.inWindow ? 3 : 2;
    return s.health === "healthy" ? place : place + 3;
  });
  const rank = Math.min(...ranks);
  return { allowed: ranks.map((r) => r === rank), rank };
}
