import type { EstateTarget, TargetWindow } from "../estate/estate.ts";
import { type ChangeRisk, type ChangeRisks, riskKey } from "../forecast/risk/risk.ts";
import { PPM, type ServicePolicy } from "./plan.ts";
import { type Shares, sum, toShares } from "./shares.ts";
import { percent, windowText } from "./text.ts";

/** A change that may degrade a target while it leaves it in service: approved with something remaining, or not yet approved. */
export interface TargetRisk {
  window: TargetWindow;
  /** It waits for approval. */
  pending: boolean;
  risk: ChangeRisk;
  /** Part of the target's own share that it should give up, 0 … 1; 0 below the policy's `riskFrom`. */
  shift: number;
}

type RiskPolicy = Pick<ServicePolicy, "leadTimeMs" | "returnAfterMs" | "riskFrom" | "riskShiftPpm" | "pendingChance">;

/**
 * The riskiest change of a target now: from the lead time before its start until the time after its end in which a target
 * must prove healthy. Below `riskFrom` nothing is given up; above it the part rises straight to `riskShift` at probability 1,
 * so that a probability that wavers around the threshold moves next to nothing.
 */
export function targetRisk(
  nowMs: number,
  target: EstateTarget,
  policy: RiskPolicy,
  risks: ChangeRisks | undefined,
): TargetRisk | null {
  if (risks === undefined) return null;
  const { riskFrom = 1, riskShiftPpm = 0 } = policy;
  let worst: { found: TargetRisk; expected: number } | null = null;
  for (const { window, pending } of riskWindows(target)) {
    if (nowMs < window.startMs - policy.leadTimeMs || nowMs >= window.endMs + policy.returnAfterMs) continue;
    const risk = risks.get(riskKey(window.provenance.sysId, target.name));
    if (risk === undefined || !(risk.probability >= 0 && risk.probability <= 1)) continue;
    const expected = risk.probability * (pending ? (policy.pendingChance ?? 0) : 1);
    const above = riskFrom < 1 ? Math.max(0, expected - riskFrom) / (1 - riskFrom) : 0;
    const shift = (above * riskShiftPpm) / PPM;
    if (worst === null || expected > worst.expected) worst = { found: { window, pending, risk, shift }, expected };
  }
  return worst?.found ?? null;
}

/** Changes of a target that leave it in service. One that takes it out is the business of its window. */
export function riskWindows(target: EstateTarget): { window: TargetWindow; pending: boolean }[] {
  const acting = target.windows.filter((w) => w.kind === "change" && w.remaining > 0);
  const pending = target.pending ?? [];
  return [
    ...acting.map((window) => ({ window, pending: false })),
    ...pending.map((window) => ({ window, pending: true })),
  ];
}

/** When the risks of a target begin and end to count. */
export function riskTimes(target: EstateTarget, policy: RiskPolicy): number[] {
  return riskWindows(target).flatMap(({ window }) => [
    window.startMs - policy.leadTimeMs,
    window.endMs + policy.returnAfterMs,
  ]);
}

/**
 * Each target gives up the part `shift` of its share to the allowed targets without a shift, in proportion to their room (the
 * share up to which they stay within the target utilisation). When all that is given finds no room, everybody gives less:
 * risk never pushes another target over its objective.
 */
export function shiftForRisk(
  shares: Shares,
  allowed: readonly boolean[],
  shift: readonly number[],
  roomPpm: readonly number[],
): number[] {
  const given = shares.map((share, i) => (allowed[i] ? share * shift[i]! : 0));
  const room = shares.map((share, i) => (allowed[i] && shift[i] === 0 ? Math.max(0, roomPpm[i]! - share) : 0));
  const [wanted, free] = [sum(given), sum(room)];
  if (!(wanted > 0) || !(free > 0)) return [...shares];
  const part = Math.min(1, free / wanted);
  return toShares(shares.map((share, i) => share - part * given[i]! + (part * wanted * room[i]!) / free));
}

/** `CHG0031007 on db-site-b 09:00–11:30: 23 % (model) that it degrades, 7.2 % of its share moves ahead`. */
export function riskText(
  { window, pending, risk, shift }: TargetRisk,
  effectPpm: number,
  policy: RiskPolicy,
  nowMs: number,
): string {
  const by = risk.source === "base_rate" ? "base rate" : risk.source;
  const waits = pending ? ", which waits for approval," : "";
  const chance = pending ? `, carried out with ${percent((policy.pendingChance ?? 0) * PPM)} (pendingChance)` : "";
  const head = `${windowText(window, nowMs)}${waits} degrades it with ${percent(risk.probability * PPM)} (${by})${chance}`;
  const why = risk.fallbackReasons.length === 0 ? "" : `; fall-back from the model: ${risk.fallbackReasons.join("; ")}`;
  if (shift === 0) return `${head}, below the ${percent((policy.riskFrom ?? 1) * PPM)} that move anything${why}`;
  const wanted = `${percent(shift * PPM)} of its traffic should move`;
  return `${head}: ${wanted}${effectPpm === 0 ? ", nobody has room for it" : ""}${why}`;
}
