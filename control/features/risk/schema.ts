import { hash } from "node:crypto";

export interface RiskFeature {
  name: string;
  unit: "0/1" | "level" | "log hours" | "log days" | "log count" | "rate" | "relations" | "layer";
  /** How the probability may move when the value rises: 1 only up, −1 only down, 0 either way. */
  monotone: -1 | 0 | 1;
  doc: string;
}

/**
 * The columns of the change-risk model, in order; one row per change and target. A blank fact is NaN: it goes its own way
 * in the trees, and the regression knows it as blank. Everything is as it stood at one moment, at the latest when the work began. Changing a name, a unit, the
 * order or the meaning (then raise SCHEMA_VERSION) changes the hash, and models trained before are refused.
 *
 * Monotone constraints stand where a change manager would not accept the opposite: no model may learn from a handful of
 * emergencies that they are safe.
 */
export const RISK_FEATURES: readonly RiskFeature[] = [
  { name: "emergency", unit: "0/1", monotone: 1, doc: "type is emergency; blank when the type is not known" },
  { name: "standard", unit: "0/1", monotone: -1, doc: "type is standard (pre-approved, repeated)" },
  { name: "risk_level", unit: "level", monotone: 1, doc: "risk field, 1 low … 4 very high" },
  { name: "impact_level", unit: "level", monotone: 1, doc: "impact field, 1 low … 3 high" },
  { name: "planned_hours", unit: "log hours", monotone: 1, doc: "length of the planned window" },
  { name: "lead_hours", unit: "log hours", monotone: -1, doc: "from the change's creation to its planned start" },
  { name: "cis", unit: "log count", monotone: 1, doc: "CIs that the change names" },
  { name: "off_hours", unit: "0/1", monotone: 0, doc: "starts outside 06:00–18:00 UTC" },
  { name: "weekend", unit: "0/1", monotone: 0, doc: "starts on a Saturday or Sunday (UTC)" },
  {
    name: "conflicts",
    unit: "log count",
    monotone: 1,
    doc: "other changes on its CIs or their neighbours that overlap",
  },
  {
    name: "group_changes",
    unit: "log count",
    monotone: 0,
    doc: "changes of the assignment group that began in the last year",
  },
  {
    name: "group_failures",
    unit: "rate",
    monotone: 1,
    doc: "share of them that caused an incident, shrunk to the prior",
  },
  { name: "ci_changes", unit: "log count", monotone: 0, doc: "changes on its CIs in the last 90 days" },
  { name: "ci_failures", unit: "rate", monotone: 1, doc: "share of the last year's that caused an incident, shrunk" },
  { name: "ci_incidents", unit: "log count", monotone: 1, doc: "incidents on its CIs in the last 30 days" },
  { name: "near_incidents", unit: "log count", monotone: 1, doc: "incidents on their neighbours in the last 30 days" },
  { name: "open_incidents", unit: "log count", monotone: 1, doc: "incidents open on its CIs or their neighbours" },
  {
    name: "since_change",
    unit: "log days",
    monotone: 0,
    doc: "since the last change on its CIs; blank when none is known",
  },
  { name: "ci_age", unit: "log days", monotone: 0, doc: "age of its youngest CI in the CMDB" },
  { name: "criticality", unit: "level", monotone: 0, doc: "highest criticality of its CIs, 1 least … 4 most critical" },
  { name: "dependents", unit: "relations", monotone: 0, doc: "log count of CIs that depend directly on its CIs" },
  { name: "layer", unit: "layer", monotone: 0, doc: "lowest layer of its CIs: 1 infrastructure … 5 service" },
  {
    name: "distance",
    unit: "relations",
    monotone: -1,
    doc: "relations from the target's CI down to the nearest of its CIs",
  },
  {
    name: "target_incidents",
    unit: "log count",
    monotone: 1,
    doc: "incidents on the target's own CI in the last 30 days",
  },
];

const SCHEMA_VERSION = 1;

export const RISK_SCHEMA_HASH: string = hash(
  "sha256",
  JSON.stringify({ version: SCHEMA_VERSION, features: RISK_FEATURES.map((f) => [f.name, f.unit, f.monotone]) }),
).slice(0, 16);

export function riskFeature(name: string): number {
  const index = RISK_FEATURES.findIndex((feature) => feature.name === name);
  if (index < 0) throw new Error(`no risk feature named ${name}`);
  return index;
}
