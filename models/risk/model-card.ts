import { RISK_FEATURES } from "../../control/features/risk/schema.ts";
import type { RiskManifest } from "../../control/forecast/risk/risk-manifest.ts";

const SHOWN_FEATURES = 12;

export interface Explained {
  /** Share of each column in what the trees' splits gain. */
  gain: Readonly<Record<string, number>>;
  /** Log-odds of the logistic regression per standard deviation of each column. */
  effect: Readonly<Record<string, number>>;
}

/** The page beside a risk model: what it is for, what it was made from, how good it is and where it is not. */
export function riskCard(manifest: RiskManifest, { gain, effect }: Explained): string {
  const { training, test, rates } = manifest;
  const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
  const rows = Object.entries(test).map(
    ([name, s]) =>
      `| ${name.replace("_", " ")} | ${s.brier.toFixed(5)} | ${s.log_loss.toFixed(4)} | ${s.pr_auc.toFixed(3)} | ${s.ece.toFixed(4)} |`,
  );
  const features = Object.entries(gain)
    .sort((a, b) => b[1] - a[1])
    .slice(0, SHOWN_FEATURES)
    .map(
      ([column, share]) =>
        `| \`${RISK_FEATURES[Number(column)]?.name ?? column}\` | ${percent(share)} | ${(effect[column] ?? 0).toFixed(3)} |`,
    );
  return `# Change-risk model

Probability that a target degrades during a change or within a day after it, for each pair of change and target that depends on
the change's CIs. The mean of boosted trees (XGBoost ${training.versions.xgboost}, ${training.trees} trees)
and a logistic regression with an L2 penalty (${percent(training.linear_share ?? 0)} of the log-odds), both monotone where docs/reference/risk.md says so,
calibrated by Platt's method. The manifest beside this page is what the server checks.

## Made from
${training.source}. Trained on ${training.from.slice(0, 10)} to ${training.calibrate_from.slice(0, 10)} (${training.rows} pairs, ${training.degraded} degraded,
${percent(rates.base)}), calibrated on the span to ${training.test_from.slice(0, 10)}, scored on the span to ${training.to.slice(0, 10)}. Seed ${training.seed}, data sha256
\`${training.data_sha256.slice(0, 16)}…\`, feature schema \`${manifest.schema_hash}\`, code \`${manifest.code_version}\`. The file differs from the
halves as trained by at most ${training.parity_max_abs_diff.toExponential(1)} over ${training.parity_rows} rows.

## How good
Test span, ${test.model.count} pairs.

| forecast | Brier | log loss | PR-AUC | calibration error |
|---|---|---|---|---|
${rows.join("\n")}

A model that does not beat rule and base rate on Brier, or whose calibration error is above 0.05, is refused.

## What it looks at
Share of what the trees' splits gain, and log-odds of the logistic regression per standard deviation.

| feature | gain | log-odds |
|---|---|---|
${features.join("\n")}

## Limits
A pair degraded when an incident names the change as its cause; where \`caused_by\` is rarely filled there is nothing to learn
from. Levels differ from company to company: train on your own tickets (\`ballast train-risk\`) before it may move much.
`;
}
