import type { BallastConfig } from "../config/config.ts";
import type { ChangeHistory } from "../features/risk/change-history.ts";
import type { ForecastLog } from "../forecast/forecaster.ts";
import { type ChangeRisks, riskKey } from "../forecast/risk/risk.ts";
import { type NamedCase, RiskAssessor } from "../forecast/risk/risk-assessor.ts";
import type { PlanInput } from "../plan/plan.ts";
import { riskWindows } from "../plan/risk.ts";

/** Changes that begin later are not assessed yet: what is known of them will change. */
const AHEAD_MS = 14 * 86_400_000;

/** The risks of the changes that a plan may look at, as of a time. */
export interface RiskBook {
  at(nowMs: number): Promise<ChangeRisks>;
  status(): { model: "ready" | "refused"; reason: { code: string; text: string } | null; sha256: string | null };
  close(): void;
}

/** Null when ballast.yaml names no risk model. A model that may not answer is no error: the rule answers, and `status()` says why. */
export async function openRiskBook(
  config: Pick<BallastConfig, "riskModel">,
  services: PlanInput["services"],
  history: ChangeHistory | null,
  log: ForecastLog,
): Promise<RiskBook | null> {
  if (config.riskModel === null || history === null) return null;
  const assessor = await RiskAssessor.open({ modelDir: config.riskModel, log });
  const facts = new Map(history.changes.map((change) => [change.sysId, change]));
  return {
    async at(nowMs) {
      const cases: NamedCase[] = [];
      for (const { estate, policy } of services.values()) {
        for (const target of estate.targets) {
          for (const { window } of riskWindows(target)) {
            const change = facts.get(window.provenance.sysId);
            const over = window.endMs + policy.returnAfterMs <= nowMs;
            if (change === undefined || over || window.startMs - policy.leadTimeMs - AHEAD_MS > nowMs) continue;
            cases.push({ facts: change, targetCi: target.ciId, distance: window.path.length - 1, target: target.name });
          }
        }
      }
      const risks = cases.length === 0 ? [] : await assessor.assess(cases, history, nowMs);
      return new Map(risks.map((risk) => [riskKey(risk.change, risk.target), risk]));
    },
    status: () => assessor.status,
    close: () => assessor.close(),
  };
}
