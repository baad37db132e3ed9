import type { EstateService } from "../estate/estate.ts";
import type { DemandForecast } from "../forecast/forecast.ts";
import type { ChangeRisks } from "../forecast/risk/risk.ts";
import { serviceDemand } from "../telemetry/service-demand.ts";
import { targetState, usableTargets } from "./availability.ts";
import { feasibleBounds } from "./bounds.ts";
import { demandOf } from "./demand.ts";
import { explain } from "./explain.ts";
import { type GoalContext, goalShares, goalStages } from "./goal.ts";
import { planLeaving } from "./leaving.ts";
import { type Live, liveHealth } from "./live.ts";
import { mustLeave } from "./must-leave.ts";
import { type PlannedService, PPM, type ServicePolicy, type TargetMemory } from "./plan.ts";
import { riskTimes, targetRisk } from "./risk.ts";
import { distance, equal, restrict, type Shares, sum, toShares } from "./shares.ts";
import { leaveAtOnce, stepToward } from "./steps.ts";
import { whyLine } from "./why.ts";

export interface ServiceInput {
  nowMs: number;
  planIntervalMs: number;
  estate: EstateService;
  policy: ServicePolicy;
  forecast: DemandForecast | undefined;
  risks: ChangeRisks | undefined;
  live: Live;
  last: { plan: PlannedService; steppedAtMs: number } | undefined;
  memory: { [target: string]: TargetMemory } | undefined;
}

/** Plans one service. Pure and deterministic. Throws only on a policy that cannot hold (the configuration refuses those). */
export function planService(input: ServiceInput): { plan: PlannedService; memory: { [target: string]: TargetMemory } } {
  const { nowMs, estate, policy, live, last } = input;
  const memory = new Map(Object.entries(input.memory ?? {}));
  const targets = estate.targets;
  const base = baseShares(estate, policy);
  const order = inForce(last, targets, base, "weightPpm");
  const sticky = policy.hasSessions ? inForce(last, targets, base, "stickyPpm") : order;

  const states = targets.map((target, i) => {
    const before = last?.plan.targets.find((t) => t.name === target.name);
    return targetState({
      nowMs,
      target,
      policy,
      health: liveHealth(live, target.name),
      memory: memory.get(target.name),
      wasEmptied: before !== undefined && before.weightPpm === 0 && base[i]! > 0 && mustLeave(before),
      carries: order[i]! > 0 || sticky[i]! > 0,
    });
  });
  const { allowed, rank } = usableTargets(states);
  const names = targets.map((t) => t.name);
  const demand = demandOf(input.forecast, policy.demandLevel, serviceDemand(live, names));
  const risks = targets.map((target) => targetRisk(nowMs, target, policy, input.risks));
  const context: GoalContext = { targets, states, policy, base, demand, risks };

  // With nobody fit, the split in force stays among the least bad; a goal over capacity would move people for nothing.
  const kept = rank === 0 ? null : restrict(order, allowed, base);
  const goalNow = kept ?? goalShares(context, allowed);
  const stepTimeMs = policy.stepIntervalMs + input.planIntervalMs;
  const leaving = planLeaving({
    context,
    nowMs,
    allowed: rank === 0 ? allowed : allowed.map(() => false),
    goalNow,
    order,
    sticky,
    stepTimeMs,
    memory: new Map(names.map((name, i) => [i, memory.get(name)?.leavingForMs ?? { order: null, sticky: null }])),
  });
  const stickyGoal = kept === null ? leaving.stickyGoal : restrict(sticky, allowed, base);

  const barred = states.map((s, i) => !allowed[i] && (s.block !== null || s.health === "unhealthy"));
  const atOnce = barred.map((b, i) => b && (order[i]! > 0 || sticky[i]! > 0));
  const emergency = atOnce.some(Boolean);
  const mayStep = last === undefined || nowMs - last.steppedAtMs >= policy.stepIntervalMs;
  const held = !emergency && mayStep && holdsBack(context, leaving.orderGoal, stickyGoal, allowed, order, sticky);
  const move = (from: Shares, goal: Shares): Shares => {
    if (emergency) return leaveAtOnce(from, goal, barred);
    if (!mayStep || held) return from;
    return stepToward(from, goal, policy.stepLimitPpm);
  };
  const weights = move(order, leaving.orderGoal);
  const sessions = policy.hasSessions ? move(sticky, stickyGoal) : weights;
  const steppedAtMs = last !== undefined && equal(weights, order) && equal(sessions, sticky) ? last.steppedAtMs : nowMs;

  const draining = states.map(
    (s, i) => base[i]! + order[i]! > 0 && (leaving.orderLeaves[i]! || s.block !== null || (!allowed[i] && rank === 0)),
  );
  const explained = explain({
    nowMs,
    context,
    service: estate.name,
    live,
    rank,
    stages: rank === 0 ? goalStages(context, leaving.orderAllowed) : [],
    goal: leaving.orderGoal,
    weights,
    sessions,
    leaving,
    held,
    emergency,
    nextStepAtMs: (mayStep ? nowMs : last!.steppedAtMs) + policy.stepIntervalMs,
    mayStep,
  });
  const plan: PlannedService = {
    name: estate.name,
    mode: policy.mode,
    targets: names.map((name, i) => ({
      name,
      basePpm: base[i]!,
      weightPpm: weights[i]!,
      stickyPpm: sessions[i]!,
      draining: draining[i]!,
      causes: explained.causes[i]!,
    })),
    why: "",
    emergency,
    steppedAtMs,
    ...(explained.alarm === null ? {} : { alarm: explained.alarm }),
  };
  plan.why = whyLine(plan);
  const nextChangeAtMs = nextChange(input, states, leaving, !equal(weights, leaving.orderGoal), steppedAtMs);
  if (nextChangeAtMs !== null) plan.nextChangeAtMs = nextChangeAtMs;
  return {
    plan,
    memory: Object.fromEntries(
      names.map((name, i) => [
        name,
        {
          ...states[i]!.memory,
          leavingForMs: {
            order: leaving.orderLeaves[i] ? states[i]!.next!.startMs : null,
            sticky: leaving.stickyLeaves[i] ? states[i]!.next!.startMs : null,
          },
        },
      ]),
    ),
  };
}

function baseShares(estate: EstateService, policy: ServicePolicy): number[] {
  const base = estate.targets.map((t) => policy.basePpm.get(t.name) ?? Number.NaN);
  if (base.some((b) => !Number.isInteger(b) || b < 0) || sum(base) !== PPM) {
    throw new Error(`base weights of ${estate.name} must be whole ppm for every target and sum to ${PPM}`);
  }
  if (!(policy.stepLimitPpm >= 1)) throw new Error(`stepLimitPpm of ${estate.name} must be at least 1`);
  return base;
}

/** The shares now in force on today's targets. A target that is new holds nothing; those that are gone leave theirs. */
function inForce(
  last: ServiceInput["last"],
  targets: EstateService["targets"],
  base: Shares,
  quota: "weightPpm" | "stickyPpm",
): Shares {
  if (last === undefined) return base;
  const byName = new Map(last.plan.targets.map((t) => [t.name, t[quota]]));
  const shares = targets.map((t) => byName.get(t.name) ?? 0);
  const total = sum(shares);
  return total === PPM ? shares : total > 0 ? toShares(shares) : base;
}

/**
 * Hysteresis holds the shares in force while both quotas are nearer to their goal than the policy's threshold. It never
 * holds back a forced move (a target that must lose its last share, bounds that are broken, quotas that must come together
 * again) and never the way home to the base weights, or small remainders would stay for ever.
 */
function holdsBack(
  context: GoalContext,
  orderGoal: Shares,
  stickyGoal: Shares,
  allowed: readonly boolean[],
  order: Shares,
  sticky: Shares,
): boolean {
  const { policy, base } = context;
  if (equal(orderGoal, order) && equal(stickyGoal, sticky)) return false;
  if (equal(orderGoal, base)) return false;
  if (Math.max(distance(orderGoal, order), distance(stickyGoal, sticky)) >= policy.hysteresisPpm) return false;
  if (orderGoal.some((g, i) => g === 0 && order[i]! > 0) || stickyGoal.some((g, i) => g === 0 && sticky[i]! > 0))
    return false;
  if (equal(orderGoal, stickyGoal) && !equal(order, sticky)) return false;
  const { lowPpm, highPpm } = feasibleBounds(policy, Math.max(1, allowed.filter(Boolean).length));
  return !order.some((v, i) => allowed[i] && (v < lowPpm || v > highPpm));
}

function nextChange(
  input: ServiceInput,
  states: ReturnType<typeof targetState>[],
  leaving: ReturnType<typeof planLeaving>,
  unfinished: boolean,
  steppedAtMs: number,
): number | null {
  const { nowMs, policy, estate } = input;
  const times: number[] = [];
  if (unfinished) times.push(steppedAtMs + policy.stepIntervalMs);
  for (const o of leaving.openings) times.push(o.orderDueMs, o.stickyDueMs, o.block.startMs - policy.leadTimeMs);
  if (input.risks !== undefined) times.push(...estate.targets.flatMap((t) => riskTimes(t, policy)));
  for (const s of states) {
    if (s.block !== null) times.push(s.block.endMs);
    for (const w of s.partial) times.push(w.endMs);
    if (s.readyAtMs !== null) times.push(s.readyAtMs);
  }
  const next = Math.min(...times.filter((t) => t > nowMs));
  return Number.isFinite(next) ? next : null;
}
