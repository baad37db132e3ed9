import type { ModelChange, ModelRef } from "../checkpoint/record.ts";
import type { LiveRiskStatus, LiveRisks } from "../forecast/watch/live-risks.ts";
import type { RiskComparison, RiskRules, RiskScores } from "../forecast/watch/risk-board.ts";
import { finite } from "./model-desk.ts";
import { ModelLife, type ModelLifeOptions, ready } from "./model-life.ts";

export interface RiskDeskOptions extends Omit<ModelLifeOptions, "part" | "live" | "evidence"> {
  rules: RiskRules;
  live: LiveRisks;
}

/** As JSON can say them: null where nothing was observed. */
type ScoresView = { [name in keyof RiskScores]: number | null };

export interface RiskView {
  active: LiveRiskStatus;
  champion: ModelRef | null;
  former: readonly ModelRef[];
  candidate: ModelRef | null;
  rules: RiskRules;
  comparison:
    | (Pick<RiskComparison, "cases" | "degraded" | "unsuccessful" | "z" | "missing"> &
        Record<(typeof FORECASTERS)[number], ScoresView>)
    | null;
  alarms: string[];
}

export const FORECASTERS = ["active", "candidate", "rule", "baseRate"] as const;

/** The models of change risk, scored when changes are closed; their life is that of every model (`ModelLife`). */
export class RiskDesk {
  readonly life: ModelLife;
  readonly #options: RiskDeskOptions;

  constructor(options: RiskDeskOptions) {
    this.#options = options;
    this.life = new ModelLife({ ...options, part: "risk", evidence: () => this.#evidence() });
  }

  view(): RiskView {
    const { live, rules } = this.#options;
    const { champion, former, shadow } = this.life.state;
    const found = live.comparison(rules);
    const of = ({ brier, prAuc }: RiskScores): ScoresView => ({ brier: finite(brier), prAuc: finite(prAuc) });
    const comparison =
      found === null
        ? null
        : {
            ...found,
            active: of(found.active),
            candidate: of(found.candidate),
            rule: of(found.rule),
            baseRate: of(found.baseRate),
          };
    return { active: live.status(), champion, former, candidate: shadow, rules, comparison, alarms: this.alarms() };
  }

  alarms(): string[] {
    const { drift, model, reason } = this.#options.live.status();
    const { verdict, text, policy } = drift;
    const answers = policy === "fallback" ? "the rule answers" : "it goes on answering";
    const drifted = verdict === "drifted" && policy !== "off";
    const refused = model === "refused" && reason !== null && this.life.state.champion === null;
    return [
      ...this.life.alarms,
      ...(refused ? [`MODEL_REFUSED: change risk: ${reason.code}: ${reason.text}; the rule answers`] : []),
      ...(drifted ? [`MODEL_DRIFT: change risk: ${text}; ${answers}`] : []),
    ];
  }

  #evidence(): Pick<ModelChange, "riskEvidence"> {
    const found = ready(this.#options.live.comparison(this.#options.rules));
    const { cases, degraded, z } = found;
    const brier = {
      active: found.active.brier,
      candidate: found.candidate.brier,
      rule: found.rule.brier,
      baseRate: found.baseRate.brier,
    };
    return { riskEvidence: { cases, degraded, z, brier } };
  }
}
