import type { Metric } from "./metrics-text.ts";
import type { OpenModels } from "./open-models.ts";
import { FORECASTERS } from "./risk-desk.ts";

const VERDICTS = ["off", "warming", "steady", "warn", "drifted"] as const;

/** What the model that forecasts and the candidate beside it are worth. */
export function modelMetrics({ demand, risk }: Pick<OpenModels, "demand" | "risk">): Metric[] {
  return [...demandMetrics(demand), ...(risk === null ? [] : riskMetrics(risk))];
}

function riskMetrics(risk: NonNullable<OpenModels["risk"]>): Metric[] {
  const { active, comparison } = risk.view();
  const { drift } = active;
  const compared = comparison === null || comparison.cases === 0 ? [] : FORECASTERS;
  const scores = (name: string, help: string, of: "brier" | "prAuc"): Metric => ({
    name,
    help,
    type: "gauge",
    samples: compared.map((who) => ({
      labels: { forecaster: who === "baseRate" ? "base_rate" : who },
      value: comparison![who][of],
    })),
  });
  const gauge = (name: string, help: string, value: number | null): Metric => ({
    name,
    help,
    type: "gauge",
    samples: [{ value }],
  });
  return [
    gauge("ballast_risk_model_ready", "1 while the change-risk model answers.", active.model === "ready" ? 1 : 0),
    gauge("ballast_risk_open", "Changes and targets whose outcome is waited for.", active.open),
    {
      name: "ballast_risk_drift",
      help: "1 for the verdict on expected against degraded targets: off, warming, steady, warn or drifted.",
      type: "gauge",
      samples: VERDICTS.map((verdict) => ({ labels: { verdict }, value: drift.verdict === verdict ? 1 : 0 })),
    },
    gauge("ballast_risk_expected", "Degraded targets that the model expected over its newest cases.", drift.expected),
    gauge("ballast_risk_happened", "Targets that degraded over the same cases.", drift.happened),
    gauge("ballast_risk_brier", "Brier score of the model that answers over the same cases.", drift.brier),
    gauge("ballast_risk_base_rate_brier", "Brier score of the base rate over the same cases.", drift.baseRateBrier),
    gauge("ballast_risk_shadow_cases", "Cases scored of a candidate beside what steers.", comparison?.cases ?? 0),
    scores("ballast_risk_shadow_brier", "Brier score over those cases.", "brier"),
    scores("ballast_risk_shadow_pr_auc", "Average precision over those cases.", "prAuc"),
  ];
}

function demandMetrics(models: OpenModels["demand"]): Metric[] {
  const { active, comparison } = models.view();
  const { drift } = active;
  const compared =
    comparison === null || comparison.windows === 0 ? [] : (["active", "candidate", "seasonalNaive"] as const);
  const scores = (name: string, help: string, of: "mase" | "wql"): Metric => ({
    name,
    help,
    type: "gauge",
    samples: compared.map((who) => ({
      labels: { forecaster: who === "seasonalNaive" ? "seasonal_naive" : who },
      value: comparison![who][of],
    })),
  });
  return [
    {
      name: "ballast_model_drift",
      help: "1 for the verdict on the model's inputs and residuals: off, warming, steady, warn or drifted.",
      type: "gauge",
      samples: VERDICTS.map((verdict) => ({ labels: { verdict }, value: drift.verdict === verdict ? 1 : 0 })),
    },
    {
      name: "ballast_model_input_divergence",
      help: "Jensen-Shannon divergence of each input from training, 0 to 1.",
      type: "gauge",
      samples: drift.inputs.map(({ name, divergence }) => ({ labels: { input: name }, value: divergence })),
    },
    {
      name: "ballast_model_load_divergence",
      help: "The same of each sign of the loads themselves: noise_change, size_change, noise, gaps.",
      type: "gauge",
      samples: drift.signs.map(({ name, divergence }) => ({ labels: { sign: name }, value: divergence })),
    },
    {
      name: "ballast_model_residual_divergence",
      help: "The same for the shares observed between the levels.",
      type: "gauge",
      samples: drift.residuals === null ? [] : [{ value: drift.residuals }],
    },
    {
      name: "ballast_model_shadow_windows",
      help: "Windows in which a candidate was scored beside what steers.",
      type: "gauge",
      samples: [{ value: comparison?.windows ?? 0 }],
    },
    {
      name: "ballast_model_shadow_failed",
      help: "Times that a candidate failed to answer for a service, by its own fault.",
      type: "gauge",
      samples: [{ value: comparison?.asked.failed ?? 0 }],
    },
    scores("ballast_model_shadow_mase", "MASE over those windows.", "mase"),
    scores("ballast_model_shadow_wql", "Weighted quantile loss over those windows.", "wql"),
  ];
}
