/** Which link of the chain answered: model → rule (type and risk field) → base rate. */
export type RiskSource = "model" | "rule" | "base_rate";

/** How likely one target degrades during or within a day after one change. */
export interface ChangeRisk {
  /** sys_id of the change. */
  change: string;
  /** Name of the target. */
  target: string;
  /** 0 … 1. */
  probability: number;
  source: RiskSource;
  /** Why an earlier link did not answer; empty for the model. */
  fallbackReasons: readonly string[];
}

/** Risks by `riskKey`. */
export type ChangeRisks = ReadonlyMap<string, ChangeRisk>;

export function riskKey(changeSysId: string, target: string): string {
  return `${changeSysId} ${target}`;
}
