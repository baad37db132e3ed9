import { hash } from "node:crypto";

/** Steps that the demand model looks ahead: one hour of five-minute steps. */
export const HORIZON_STEPS = 12;

/** The step the features are defined for; a history with another step is refused by the forecaster. */
export const FEATURE_STEP_MS = 300_000;

export const STEPS_PER_DAY = 86_400_000 / FEATURE_STEP_MS;

/** Steps of the past that one origin can look at: 14 days of lag, 24 h of comparison, 3 h of offset, rounded up. */
export const FEATURE_HISTORY_STEPS = 16 * STEPS_PER_DAY;

/** Days back at which the past is compared with now. */
export const LAG_DAYS = [1, 2, 3, 7, 14] as const;

export interface Feature {
  name: string;
  unit: "steps" | "days" | "hours" | "log ratio" | "ratio" | "1";
  doc: string;
}

const lagFeatures: Feature[] = LAG_DAYS.map((days) => ({
  name: `analog_${days}d`,
  unit: "log ratio",
  doc: `what came after the same time ${days} d ago, moved to today's level by the last four hours`,
}));

/**
 * The model's input columns, in order. All loads enter as logarithms relative to the recent level, so that the model
 * knows nothing of a service's size. Changing a name, a unit, the order or the meaning (then raise `SCHEMA_VERSION`)
 * changes the hash, and models trained before are refused.
 */
export const FEATURES: readonly Feature[] = [
  { name: "horizon", unit: "steps", doc: "1 = the step now in progress" },
  { name: "tod_sin", unit: "1", doc: "time of day (UTC) of the forecast step" },
  { name: "tod_cos", unit: "1", doc: "time of day (UTC) of the forecast step" },
  { name: "dow", unit: "days", doc: "day of week (UTC) of the forecast step, 0 = Sunday" },
  {
    name: "anchor",
    unit: "log ratio",
    doc: "mean of all analogs, weighted by how well each fits the past; the margin that the trees correct",
  },
  ...lagFeatures,
  { name: "analog_best", unit: "log ratio", doc: "what the best-fitting analog says" },
  { name: "analog_spread", unit: "log ratio", doc: "weighted standard deviation of the analogs" },
  { name: "misfit_best", unit: "log ratio", doc: "root mean square misfit of the best analog" },
  { name: "misfit_1d", unit: "log ratio", doc: "the same for the analog one day ago without offset" },
  { name: "misfit_7d", unit: "log ratio", doc: "the same for the analog seven days ago without offset" },
  { name: "offset_best", unit: "hours", doc: "offset of the best analog; positive = today runs ahead of that day" },
  { name: "last", unit: "log ratio", doc: "last complete step over the level" },
  { name: "before_15m", unit: "log ratio", doc: "mean of three steps a quarter of an hour ago over the level" },
  { name: "before_30m", unit: "log ratio", doc: "the same half an hour ago" },
  { name: "before_1h", unit: "log ratio", doc: "the same one hour ago" },
  { name: "before_2h", unit: "log ratio", doc: "the same two hours ago" },
  { name: "before_3h45m", unit: "log ratio", doc: "the same three hours and three quarters ago" },
  { name: "slope_30m", unit: "log ratio", doc: "least-squares slope of the last six steps, per hour" },
  { name: "over_1d", unit: "log ratio", doc: "level over the level one day ago" },
  { name: "over_7d", unit: "log ratio", doc: "level over the level seven days ago" },
  { name: "over_1d_drift", unit: "log ratio", doc: "change of over_1d in the last hour" },
  { name: "over_7d_drift", unit: "log ratio", doc: "change of over_7d in the last hour" },
  { name: "day_mean", unit: "log ratio", doc: "mean of the last 24 h over the level" },
  { name: "day_max", unit: "log ratio", doc: "highest hour of the last 24 h over the level" },
  { name: "day_min", unit: "log ratio", doc: "lowest hour of the last 24 h over the level" },
  { name: "noise", unit: "log ratio", doc: "step-to-step noise of the last three hours" },
  { name: "missing", unit: "ratio", doc: "share of missing steps in the last 24 h" },
  { name: "history", unit: "days", doc: "span of history seen, at most 15" },
];

/** Features that follow from the clock or from the age of the history alone: a day of serving never looks like training there. */
export const CLOCK_FEATURES: ReadonlySet<string> = new Set(["horizon", "tod_sin", "tod_cos", "dow", "history"]);

/**
 * A higher value never lowers a level of the forecast: the trees are trained so. Not the anchor, which the trees correct: where they may
 * not take back a part of it the held-out week's error rises by 2 to 4 %. Nor loads of hours ago, which say that load falls as well.
 */
export const RISING_FEATURES: ReadonlySet<string> = new Set([
  ...lagFeatures.map(({ name }) => name),
  "analog_best",
  "last",
  "slope_30m",
]);

/** Raised when a feature's computation changes without its name changing. */
const SCHEMA_VERSION = 2;

/** Names the columns, their order, units and meaning; a model's manifest carries the hash it was trained with. */
export const SCHEMA_HASH: string = hash(
  "sha256",
  JSON.stringify({
    version: SCHEMA_VERSION,
    stepMs: FEATURE_STEP_MS,
    horizon: HORIZON_STEPS,
    target: "log((y+eps)/(level+eps))",
    features: FEATURES.map(({ name, unit }) => [name, unit]),
  }),
).slice(0, 16);

export function featureIndex(name: string): number {
  const index = FEATURES.findIndex((feature) => feature.name === name);
  if (index < 0) throw new Error(`no feature named ${name}`);
  return index;
}
