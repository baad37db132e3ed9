import type { EstateTarget, TargetWindow } from "../estate/estate.ts";
import { feasibleBounds } from "./bounds.ts";
import type { GoalContext, Stage } from "./goal.ts";
import type { Leaving } from "./leaving.ts";
import type { Live } from "./live.ts";
import { type Cause, type CauseKind, PPM } from "./plan.ts";
import { riskText, type TargetRisk } from "./risk.ts";
import type { Shares } from "./shares.ts";
import { percent, rate, shortName, span, time, windowText } from "./text.ts";

export interface ExplainInput {
  nowMs: number;
  service: string;
  context: GoalContext;
  live: Live;
  /** 0 when the service has an available target; else `stages` is empty and the goal is the least bad one. */
  rank: number;
  stages: readonly Stage[];
  goal: Shares;
  weights: Shares;
  sessions: Shares;
  leaving: Leaving;
  held: boolean;
  emergency: boolean;
  mayStep: boolean;
  nextStepAtMs: number;
}

interface Reason {
  kind: CauseKind;
  ref: string;
  text: string;
  /** Further tickets of the same block. */
  also: TargetWindow[];
}

/**
 * The ordered causes of every target. Effects are differences of neighbouring stages, then goal → weights in force
 * (hysteresis or step limit), so they add up to weight − base by construction; this is asserted. A cause without effect is
 * listed only where a person would ask for it: the forecast, sessions that stay, unused telemetry, a relaxed bound.
 */
export function explain(input: ExplainInput): { causes: Cause[][]; alarm: string | null } {
  const { context, stages, goal, weights, rank } = input;
  const { base, targets } = context;
  const causes: Cause[][] = targets.map(() => []);
  const add: Add = (i, kind, ref, effectPpm, text, more = {}) => {
    causes[i]!.push({ kind, ref, effectPpm, text, ...more });
  };

  let alarm: string | null = null;
  if (rank > 0) {
    alarm = alarmText(input);
    for (const i of targets.keys()) {
      const reason = reasonOf(input, i);
      add(i, reason.kind, reason.ref, goal[i]! - base[i]!, `${alarm}; here: ${reason.text}`);
    }
  }
  let before: Shares = base;
  for (const stage of stages) {
    for (const i of targets.keys()) explainStage(input, stage, i, before, add);
    before = stage.shares;
  }

  for (const i of targets.keys()) {
    const rest = weights[i]! - goal[i]!;
    if (rest !== 0 && input.held) {
      const limit = percent(context.policy.hysteresisPpm);
      add(i, "hysteresis", "hysteresis", rest, `the goal of ${percent(goal[i]!)} is within the hysteresis of ${limit}`);
    } else if (rest !== 0) {
      add(i, "step_limit", input.mayStep ? "stepLimit" : "stepInterval", rest, stepText(input, i));
    }
    if (input.sessions[i] !== weights[i]) add(i, "sessions", "sessions.moveBefore", 0, sessionsText(input, i));
    if (input.live.aged) {
      add(i, "telemetry", "telemetryMaxAge", 0, `${input.live.stale}: health and live load are not used`);
    }
    const total = causes[i]!.reduce((sum, c) => sum + c.effectPpm, 0);
    if (total !== weights[i]! - base[i]!) throw new Error(`causes of ${targets[i]!.name} add up to ${total} ppm`);
  }
  return { causes, alarm };
}

type Add = (
  i: number,
  kind: CauseKind,
  ref: string,
  effectPpm: number,
  text: string,
  more?: Pick<Cause, "risk">,
) => void;

function explainStage(input: ExplainInput, stage: Stage, i: number, before: Shares, add: Add): void {
  const { context, nowMs } = input;
  const { targets, states, policy } = context;
  const effect = stage.shares[i]! - before[i]!;
  switch (stage.by.kind) {
    case "removed": {
      const reason = reasonOf(input, stage.by.index);
      if (i === stage.by.index) {
        add(i, reason.kind, reason.ref, effect, reason.text);
        for (const w of reason.also) add(i, windowKind(w), w.ticket, 0, `also ${windowText(w, nowMs)}`);
      } else if (effect !== 0) {
        const from = shortName(targets[stage.by.index]!.name, input.service);
        add(i, reason.kind, reason.ref, effect, `takes over from ${from}: ${reason.text}`);
      }
      return;
    }
    case "capacity":
      if (effect !== 0) add(i, "capacity", targets[i]!.ciName, effect, capacityText(input, i, before));
      return;
    case "partial": {
      const own = states[i]!.partial[0];
      const window = own ?? states.find((s) => s.partial.length > 0)!.partial[0]!;
      const left = `leaves ${Math.round(window.remaining * 100)} % of the capacity`;
      const where = own === undefined ? "takes over: " : "";
      if (effect !== 0 || own !== undefined) {
        add(i, windowKind(window), window.ticket, effect, `${where}${windowText(window, nowMs)} ${left}`);
      }
      return;
    }
    case "forecast":
      add(i, "forecast", context.demand.source, effect, forecastText(input, i, before));
      return;
    case "risk": {
      const own = context.risks[i];
      if (own != null) {
        const fact = riskFact(own, targets[i]!.name);
        add(i, "risk", own.window.ticket, effect, riskText(own, effect, policy, nowMs), fact);
      } else if (effect !== 0) {
        const giver = context.risks.findIndex((risk, j) => risk !== null && stage.shares[j]! < before[j]!);
        const risk = context.risks[giver]!;
        const from = shortName(targets[giver]!.name, input.service);
        const text = `takes over from ${from}: ${riskText(risk, effect, policy, nowMs)}`;
        add(i, "risk", risk.window.ticket, effect, text, riskFact(risk, targets[giver]!.name));
      }
      return;
    }
    case "floor":
    case "cap": {
      const kind = stage.by.kind;
      const count = states.filter((_, j) => input.leaving.orderAllowed[j]).length;
      const bounds = feasibleBounds(policy, count);
      const wanted = kind === "floor" ? policy.floorPpm : policy.capPpm;
      const used = kind === "floor" ? bounds.lowPpm : bounds.highPpm;
      const relaxed = bounds.relaxed === kind && input.leaving.orderAllowed[i];
      if (effect === 0 && !relaxed) return;
      const note = relaxed
        ? `, relaxed to ${percent(used)}: it cannot hold with ${count} of ${targets.length} targets`
        : "";
      add(i, kind, kind, effect, `policy ${kind} ${percent(wanted)}${note}`);
      return;
    }
  }
}

function riskFact({ risk }: TargetRisk, target: string): Pick<Cause, "risk"> {
  return { risk: { target, probability: Number(risk.probability.toFixed(6)), source: risk.source } };
}

/** Why a target may not carry traffic now, or is being left. */
function reasonOf(input: ExplainInput, i: number): Reason {
  const { context, leaving, nowMs, live } = input;
  const state = context.states[i]!;
  const block = state.block ?? (leaving.orderLeaves[i] ? state.next : null);
  if (block !== null) {
    const ahead = block.windows.filter((w) => w.endMs > nowMs);
    const [first, ...also] = ahead as [TargetWindow, ...TargetWindow[]];
    return { kind: windowKind(first), ref: first.ticket, text: windowText(first, nowMs), also };
  }
  const name = context.targets[i]!.name;
  if (state.health === "unhealthy") {
    const hosts = live.targets.get(name)?.totalHosts ?? 0;
    return { kind: "health", ref: name, text: `no healthy host (0 of ${hosts})`, also: [] };
  }
  if (state.health === "unknown") {
    const why = live.stale ?? "no Envoy reports a checked host";
    return {
      kind: "telemetry",
      ref: name,
      text: `was out of service and has not been seen healthy since: ${why}`,
      also: [],
    };
  }
  const ready = state.readyAtMs === null ? "" : `, may return at ${time(state.readyAtMs, nowMs)}`;
  const wait = span(context.policy.returnAfterMs);
  return { kind: "health", ref: name, text: `was out of service; must be healthy for ${wait} first${ready}`, also: [] };
}

function windowKind(window: TargetWindow): CauseKind {
  return window.kind === "incident" ? "incident" : "window";
}

function alarmText(input: ExplainInput): string {
  const { context, goal, service } = input;
  const kept = context.targets.filter((_, i) => goal[i]! > 0).map((t) => shortName(t.name, service));
  return `no target is available; traffic stays on ${kept.join(", ")} as the least bad`;
}

function capacityText(input: ExplainInput, i: number, before: Shares): string {
  const { demand, targets, policy } = input.context;
  const load = (demand.presentRps! * before[i]!) / PPM;
  const share = `${rate(load)} at ${percent(before[i]!)} of ${rate(demand.presentRps!)} now (${demand.presentSource})`;
  const { ciName } = targets[i]!;
  const capacity = `${capacityOf(targets[i]!, 1)} of ${ciName}`;
  return `${share} against ${capacity}; no target above ${percent(policy.targetUtilisation * PPM)} where it can be helped`;
}

function forecastText(input: ExplainInput, i: number, before: Shares): string {
  const { demand, targets, states, policy } = input.context;
  const fallback =
    demand.fallbackReasons.length > 0 ? `; fall-back from the model: ${demand.fallbackReasons.join("; ")}` : "";
  if (demand.peakRps === null) {
    return `no forecast${demand.presentRps === null ? ", load now not known" : ""}${fallback}`;
  }
  const name =
    demand.source === "seasonal_naive" ? "seasonal naive" : demand.source === "last" ? "last value" : demand.source;
  const head = `${name} p${+(demand.level * 100).toFixed(1)} peak ${rate(demand.peakRps)} in ${span(demand.horizonMs)}`;
  const now = demand.presentRps === null ? null : `${rate(demand.presentRps)} now`;
  if (demand.presentRps !== null && demand.presentRps >= demand.peakRps) return `${head}, not above ${now}${fallback}`;
  const capacity = capacityOf(targets[i]!, states[i]!.remaining);
  const at = `${rate((demand.peakRps * before[i]!) / PPM)} at ${percent(before[i]!)} against ${capacity}`;
  return `${head}${now === null ? ", load now not known" : ` against ${now}`}: ${at} (objective ${percent(policy.targetUtilisation * PPM)})${fallback}`;
}

/** What is left of a target's capacity, and where the figure is from when that is not the estate. */
function capacityOf({ capacityRps, capacityOrigin }: EstateTarget, remaining: number): string {
  const origin = capacityOrigin === "estate" ? "" : `${capacityOrigin} `;
  return `${rate(capacityRps * remaining)} ${origin}capacity`;
}

function stepText(input: ExplainInput, i: number): string {
  const { nowMs, goal, weights, mayStep } = input;
  const { policy, states } = input.context;
  const { closed } = states[i]!;
  // Long after the window its return is over, and whatever moves the target now is something else.
  const returningMs = policy.returnAfterMs + 2 * Math.ceil(PPM / policy.stepLimitPpm) * policy.stepIntervalMs;
  const returns = weights[i]! < goal[i]! && closed !== null && nowMs - closed.endMs <= returningMs;
  const back = returns ? `coming back after ${closed.windows.map((w) => w.ticket).join(", ")}: ` : "";
  const way = `on the way to ${percent(goal[i]!)}, next step at ${time(input.nextStepAtMs, nowMs)}`;
  if (input.emergency) return `only what must leave moved at once; ${way}`;
  const limit = `at most ${percent(policy.stepLimitPpm)} in ${span(policy.stepIntervalMs)}`;
  return mayStep ? `${back}${limit}; ${way}` : `${back}${way} (${limit})`;
}

function sessionsText(input: ExplainInput, i: number): string {
  const { leaving, nowMs, sessions, context } = input;
  const opening = leaving.openings.find((o) => o.index === i && leaving.orderLeaves[i]);
  const share = `sessions hold ${percent(sessions[i]!)}`;
  if (opening === undefined) return `${share} while a target of ${input.service} is left`;
  const begins = leaving.stickyLeaves[i] ? "and leave in steps" : `until ${time(opening.stickyDueMs, nowMs)}`;
  const ready = time(opening.block.startMs - context.policy.leadTimeMs, nowMs);
  return `${share} ${begins}; all are gone by ${ready}`;
}
