import type { ChangePlan } from "../../ingest/records.ts";

/**
 * The classes in which change managers sort by ITIL: an emergency or a high risk field is high, a standard change with a low
 * one is low, the rest is between. Null when neither field is filled: then there is nothing to go by.
 */
export const RULE_CLASSES = ["low", "moderate", "high"] as const;
export type RuleClass = (typeof RULE_CLASSES)[number];

export function ruleClass({ type, riskLevel }: Pick<ChangePlan, "type" | "riskLevel">): RuleClass | null {
  if (type === "unknown" && riskLevel === null) return null;
  if (type === "emergency" || (riskLevel ?? 0) >= 3) return "high";
  if (type === "standard" && (riskLevel ?? 1) <= 1) return "low";
  return "moderate";
}

export interface RuleRates {
  base: number;
  low: number;
  moderate: number;
  high: number;
}

/**
 * What the classes are taken to mean without any history: the base rate in the middle of the published 4–9 %, twice as much
 * for the high class (BPI 2014: 9.1 % of emergencies against 4.4 %), a third for the low one.
 */
export const PUBLISHED_RATES: RuleRates = { base: 0.065, low: 0.02, moderate: 0.06, high: 0.13 };

/** Rates of the classes in a history; a class that was hardly seen is drawn to the base rate. */
export function ruleRates(
  cases: readonly { plan: Pick<ChangePlan, "type" | "riskLevel">; degraded: boolean }[],
): RuleRates {
  if (cases.length === 0) throw new Error("no cases to take rates from");
  const base = cases.filter((one) => one.degraded).length / cases.length;
  const weight = 50;
  const rate = (name: RuleClass): number => {
    const members = cases.filter(({ plan }) => ruleClass(plan) === name);
    return (members.filter((one) => one.degraded).length + weight * base) / (members.length + weight);
  };
  return { base, low: rate("low"), moderate: rate("moderate"), high: rate("high") };
}
