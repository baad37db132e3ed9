import type { ModelChange, ModelRef } from "../checkpoint/record.ts";
import type { LiveForecaster, LiveStatus } from "../forecast/watch/live-forecaster.ts";
import type { WindowScores } from "../forecast/watch/outcomes.ts";
import type { Comparison, PromotionRules } from "../forecast/watch/shadow-board.ts";
import { ModelLife, type ModelLifeOptions, ready } from "./model-life.ts";

export interface ModelDeskOptions extends Omit<ModelLifeOptions, "part" | "live" | "evidence"> {
  rules: PromotionRules;
  live: LiveForecaster;
}

export interface ModelView {
  active: LiveStatus;
  /** The promoted model; null: that of ballast.yaml. */
  champion: ModelRef | null;
  former: readonly ModelRef[];
  candidate: ModelRef | null;
  rules: PromotionRules;
  /** Null without a candidate that forecasts. */
  comparison: ComparisonView | null;
  /** What a person should look at, one sentence each. */
  alarms: string[];
}

/** Scores as JSON can say them: null where nothing was observed. */
export interface ScoresView {
  windows: number;
  steps: number;
  mase: number | null;
  wql: number | null;
  coverage: (number | null)[];
}

export interface ComparisonView extends Pick<Comparison, "windows" | "asked" | "won" | "missing"> {
  active: ScoresView;
  candidate: ScoresView;
  seasonalNaive: ScoresView;
}

/** The models of demand, scored on windows of an hour; their life is `ModelLife`. */
export class ModelDesk {
  readonly life: ModelLife;
  readonly #options: ModelDeskOptions;

  constructor(options: ModelDeskOptions) {
    this.#options = options;
    this.life = new ModelLife({ ...options, part: "demand", evidence: () => this.#evidence() });
  }

  view(): ModelView {
    const { live, rules } = this.#options;
    const { champion, former, shadow } = this.life.state;
    return {
      active: live.status(),
      champion,
      former,
      candidate: shadow,
      rules,
      comparison: comparisonView(live.comparison(rules)),
      alarms: this.alarms(),
    };
  }

  alarms(): string[] {
    const { live, configured } = this.#options;
    const { drift, model, reason } = live.status();
    const { verdict, text, policy } = drift;
    const answers = policy === "fallback" ? "baselines answer" : "it goes on answering";
    // Without a folder in ballast.yaml nobody misses a model; of a promoted one its life tells.
    const refused = model === "refused" && configured !== "" && reason !== null && this.life.state.champion === null;
    return [
      ...this.life.alarms,
      ...(refused ? [`MODEL_REFUSED: ${reason.code}: ${reason.text}; baselines answer in place of ${configured}`] : []),
      ...(live.failing === null ? [] : [`MODEL_FAILING: ${live.failing}; the rest of the chain answers`]),
      ...(verdict === "drifted" ? [`MODEL_DRIFT: ${text}; ${answers}`] : []),
    ];
  }

  #evidence(): Pick<ModelChange, "evidence"> {
    const { active, candidate, seasonalNaive, windows, won } = ready(
      this.#options.live.comparison(this.#options.rules),
    );
    const of = ({ mase, wql, coverage }: WindowScores) => ({ mase, wql, coverage });
    const scores = { active: of(active), candidate: of(candidate), seasonalNaive: of(seasonalNaive) };
    return { evidence: { windows, won, scores } };
  }
}

function comparisonView(comparison: Comparison | null): ComparisonView | null {
  if (comparison === null) return null;
  const { windows, asked, won, missing } = comparison;
  const of = ({ mase, wql, coverage, ...counts }: WindowScores): ScoresView => ({
    ...counts,
    mase: finite(mase),
    wql: finite(wql),
    coverage: coverage.map(finite),
  });
  return {
    windows,
    asked,
    won,
    missing,
    active: of(comparison.active),
    candidate: of(comparison.candidate),
    seasonalNaive: of(comparison.seasonalNaive),
  };
}

export function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
