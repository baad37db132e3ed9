import { layerOf } from "../../estate/layer.ts";
import type { ChangeFacts, ChangeHistory } from "./change-history.ts";
import { RISK_FEATURES } from "./schema.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Failure rates are shrunk towards this one with the weight of so many changes: a group with one bad change is not bad. */
const PRIOR = { rate: 0.06, changes: 20 };

/** A change and one target that depends on its CIs. */
export interface RiskCase {
  facts: ChangeFacts;
  /** Id of the target's CI. */
  targetCi: string;
  /** Relations from the target's CI to the nearest CI of the change; 0 = its own. */
  distance: number;
}

/**
 * Writes the row of one case into `out` at `offset`: what was known at `asOfMs`, and never later than the planned start, so
 * that a row made long after the change is the row that would have been made before it.
 */
export function writeRiskRow(
  { facts, targetCi, distance }: RiskCase,
  history: ChangeHistory,
  asOfMs: number,
  out: Float32Array,
  offset: number,
): void {
  const at = Math.min(asOfMs, facts.startMs);
  const { cis } = facts;
  const near = history.neighbours(cis);
  const known = facts.type !== "unknown";
  const start = new Date(facts.startMs);
  const hour = start.getUTCHours();
  const group = facts.group === "" ? null : history.groupRecord(facts.group, at - 365 * DAY_MS, at);
  const year = history.ciRecord(cis, at - 365 * DAY_MS, at);
  const lastMs = history.lastChangeMs(cis, at, facts.sysId);
  const created = cis.flatMap((ci) => history.createdMs(ci) ?? []);
  const criticalities = cis.flatMap((ci) => history.criticality(ci) ?? []);
  const layers = cis.flatMap((ci) => layerOf(history.graph.cis.get(ci)!.className) ?? []);
  const values = [
    known ? Number(facts.type === "emergency") : Number.NaN,
    known ? Number(facts.type === "standard") : Number.NaN,
    facts.riskLevel ?? Number.NaN,
    facts.impact === null ? Number.NaN : 4 - facts.impact,
    Math.log1p((facts.endMs - facts.startMs) / HOUR_MS),
    facts.createdMs === null ? Number.NaN : Math.log1p(Math.max(0, facts.startMs - facts.createdMs) / HOUR_MS),
    Math.log1p(cis.length),
    Number(hour < 6 || hour >= 18),
    Number(start.getUTCDay() % 6 === 0),
    Math.log1p(history.conflicts(facts, [...cis, ...near], at)),
    group === null ? Number.NaN : Math.log1p(group.count),
    group === null ? Number.NaN : shrunk(group),
    Math.log1p(history.ciRecord(cis, at - 90 * DAY_MS, at).count),
    shrunk(year),
    Math.log1p(history.incidents(cis, at - 30 * DAY_MS, at)),
    Math.log1p(history.incidents(near, at - 30 * DAY_MS, at)),
    Math.log1p(history.openIncidents([...cis, ...near], at)),
    lastMs === null ? Number.NaN : Math.log1p((at - lastMs) / DAY_MS),
    created.length === 0 ? Number.NaN : Math.log1p(Math.max(0, at - Math.max(...created)) / DAY_MS),
    criticalities.length === 0 ? Number.NaN : 5 - Math.min(...criticalities),
    Math.log1p(history.dependents(cis)),
    layers.length === 0 ? Number.NaN : Math.min(...layers),
    distance,
    Math.log1p(history.incidents([targetCi], at - 30 * DAY_MS, at)),
  ];
  if (values.length !== RISK_FEATURES.length)
    throw new Error(`${values.length} values for ${RISK_FEATURES.length} columns`);
  out.set(values, offset);
}

/** Rows of all cases, row-major; `asOfMs` absent: each as of its planned start. */
export function riskRows(
  cases: readonly RiskCase[],
  history: ChangeHistory,
  asOfMs?: number,
): Float32Array<ArrayBuffer> {
  const rows = new Float32Array(cases.length * RISK_FEATURES.length);
  cases.forEach((one, i) => {
    writeRiskRow(one, history, asOfMs ?? one.facts.startMs, rows, i * RISK_FEATURES.length);
  });
  return rows;
}

function shrunk({ count, failed }: { count: number; failed: number }): number {
  return (failed + PRIOR.rate * PRIOR.changes) / (count + PRIOR.changes);
}
