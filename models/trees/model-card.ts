import { FEATURES } from "../../control/features/schema.ts";
import type { Manifest } from "../../control/forecast/demand-manifest.ts";

const SHOWN_FEATURES = 12;

/** The page that stands beside a model: what it is for, what it was made from, how good it is and where it is not. */
export function modelCard(manifest: Manifest, gain: Readonly<Record<string, number>>): string {
  const { training, backtest, levels } = manifest;
  const rows = Object.entries(backtest.scores).map(([name, score]) => {
    const coverage = score.coverage.map((share) => share.toFixed(3)).join(" ");
    return `| ${name.replaceAll("_", " ")} | ${score.mase.toFixed(3)} | ${score.wql.toFixed(4)} | ${coverage} |`;
  });
  const features = Object.entries(gain)
    .sort((a, b) => b[1] - a[1])
    .slice(0, SHOWN_FEATURES)
    .map(([column, share]) => `| \`${FEATURES[Number(column)]?.name ?? column}\` | ${(100 * share).toFixed(1)} % |`);
  return `# Demand model

Quantiles (${levels.join(", ")}) of a service's requests per second in each of the next ${manifest.horizon_steps} steps of
${manifest.step_ms / 60_000} minutes. Gradient-boosted quantile trees (XGBoost ${training.versions.xgboost}) correct an analog forecast that the
feature builder computes; quantiles are sorted in the graph, so they never cross. More in ${training.rising?.map((name) => `\`${name}\``).join(", ") ?? "no input"}
never gives less, at any level. Written by \`ballast train\`; the manifest beside this page is what the server checks.

## Made from
${training.services.length} services (${training.services.join(", ")}), ${training.from.slice(0, 10)} to ${training.to.slice(0, 10)}, data sha256 \`${training.data_sha256.slice(0, 16)}…\`,
${training.rows} rows, seed ${training.seed}, ${training.trees} trees, feature schema \`${manifest.schema_hash}\`, code \`${manifest.code_version}\`.
Rows come from the series and from changed copies of them (rhythm moved by up to three hours, levels scaled, noise,
gaps, other clocks), so the model follows the last days and hours rather than the time of day.
The exported file differs from the trained booster by at most ${training.parity_max_abs_diff.toExponential(1)} over ${training.parity_rows} rows.

## How good
Held-out week ${backtest.from.slice(0, 10)} to ${backtest.to.slice(0, 10)}, rolling origins every ${backtest.every_steps} steps, all horizons, same steps for all rows.
MASE: mean absolute error of the median over the mean absolute difference to the day before, mean over services.
wQL: mean over the levels of twice the pinball loss over the load. Coverage: share observed at or below each level.

| forecast | MASE | wQL | coverage at ${levels.join(" ")} |
|---|---|---|---|
${rows.join("\n")}

Beaten on MASE and wQL: ${manifest.baselines_beaten.join(", ").replaceAll("_", " ") || "none"}. A model that does not beat both seasonal forecasts is refused.

## What it looks at
| feature | share of gain |
|---|---|
${features.join("\n")}

## Limits
Needs ${manifest.step_ms / 60_000}-minute steps and 29 hours of history; below that the seasonal forecast or the last value answers. Knows
nothing of holidays, changes or other services. Coverage is measured on one week, and is not calibrated.
`;
}
