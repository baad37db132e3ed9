import type { Metric } from "./metrics-text.ts";
import type { ModelDesk } from "./model-desk.ts";

const VERDICTS = ["off", "warming", "steady", "warn", "drifted"] as const;

/** What the model that forecasts and the candidate beside it are worth. */
export function modelMetrics(models: Pick<ModelDesk, "view">): Metric[] {
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
    scores("ballast_model_shadow_mase", "MASE over those windows.", "mase"),
    scores("ballast_model_shadow_wql", "Weighted quantile loss over those windows.", "wql"),
  ];
}
