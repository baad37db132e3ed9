import { createHash } from "node:crypto";

/** What a series model is made for. One model serves all series of a shape, whatever their size: see `SERIES_FEATURES`. */
export interface SeriesShape {
  /** Steps after which the series tends to repeat, ≥ 1; 1 = no season is known. */
  season: number;
  /** Steps to look ahead, ≥ 1. */
  horizon: number;
}

/** Spans in steps that follow from a shape. With season 360 and horizon 60 they are 120, 60 and 8. */
export interface Spans {
  /** Of the last steps that levels and residuals are taken over: two horizons or a third of a season, 12 … 1,440. */
  back: number;
  /** Over which the past cycles are compared with now, and the length of the recurrent half's sequence: half of `back`. */
  near: number;
  /** Steps by which a cycle may run ahead or behind. */
  edge: number;
  /** Ratio of `back` to 120, by which windows and decays are stretched. */
  stretch: number;
}

const MAX_BACK = 1_440;

/** Throws for a shape outside its ranges: the caller has checked what a person wrote. */
export function spansOf({ season, horizon }: SeriesShape): Spans {
  if (!Number.isInteger(season) || season < 1) throw new Error(`season ${season}`);
  if (!Number.isInteger(horizon) || horizon < 1) throw new Error(`horizon ${horizon}`);
  const back = Math.min(MAX_BACK, Math.max(12, 2 * horizon, Math.round(season / 3)));
  const edge = Math.min(8, Math.max(1, Math.round(season / 45)));
  return { back, near: Math.ceil(back / 2), edge, stretch: back / 120 };
}

/** Distance in steps to the cycle `k` (from 1) before: a whole number of seasons, at least one horizon. */
export function lagOf({ season, horizon }: SeriesShape, k: number): number {
  return season * (k - 1 + Math.ceil(horizon / season));
}

/** Steps of past without which there is no answer: the nearest cycle with its `back`. */
export function minPastSteps(shape: SeriesShape): number {
  const { back, edge } = spansOf(shape);
  return lagOf(shape, 1) + back + edge;
}

/**
 * A way to continue a series: the weighted mean of the past cycles, plus an exponentially smoothed residual that fades.
 * A cycle's weight is `decay^k · exp(−(misfit − least misfit) / tolerance)`.
 */
export interface AnchorVariant {
  cycles: number;
  decay: number;
  tolerance: number;
  /** Span of the comparison in units of `near`. */
  compare: number;
  /** Smoothing of the residual, per step. */
  alpha: number;
  /** Fading of the residual per step at a stretch of 1. */
  fade: number;
}

function variant(cycles: number, decay: number, tolerance: number, compare: number, alpha: number, fade: number) {
  return { cycles, decay, tolerance, compare, alpha, fade } satisfies AnchorVariant;
}

/**
 * The forecast that the model corrects is the mean of this and of the last of LOG_VARIANTS: the first returns to the cycle, the second
 * keeps a changed level. These and the parameters below were chosen on validation spans only.
 */
export const BASE_ANCHOR: AnchorVariant = variant(8, 0.9, 0.3, 1, 0.3, 0.99);

export const ADDITIVE_VARIANTS: readonly AnchorVariant[] = [
  variant(8, 0.9, 0.3, 1, 0.3, 0.98),
  variant(8, 0.9, 0.3, 1, 0.3, 1),
  variant(5, 0.75, 0.3, 1, 0.6, 0.995),
  variant(8, 0.9, 0.1, 6, 0.1, 0.995),
  variant(8, 0.9, 1, 6, 0.1, 0.97),
  variant(8, 0.9, 1, 1, 0.6, 1),
  variant(2, 0.9, 1, 1, 0.3, 1),
];

/** On logarithms: a level that changes by a factor changes the cycle with it. The third and fourth come near the theta method. */
export const LOG_VARIANTS: readonly AnchorVariant[] = [
  variant(8, 0.9, 1, 1, 0.6, 1),
  variant(8, 0.9, 0.3, 1, 0.3, 0.99),
  variant(20, 1, Number.POSITIVE_INFINITY, 1, 0.3, 1),
  variant(20, 1, Number.POSITIVE_INFINITY, 1, 0.9, 1),
  variant(12, 1, 1, 2, 0.6, 1),
];

/** Windows over which residuals are averaged, steps at a stretch of 1. */
export const RESIDUAL_WINDOWS = [1, 3, 6, 12, 30, 60, 120] as const;
export const FIRST_RESIDUAL_WINDOWS = [3, 12, 60] as const;
/** Cycles of the plain profiles below. */
export const PROFILE_CYCLES = 5;

const profiles = ["1", "3", "5", "median"];

/**
 * Columns of the trees, one row per horizon step. Everything but `step` and `offset` is in units of the series' own scale
 * (mean absolute difference to one season before, over its past) and relative to the base anchor, so size plays no part.
 */
export const SERIES_FEATURES: readonly string[] = [
  "step",
  ...profiles.flatMap((name) => [`profile_${name}`, `profile_${name}_level`]),
  "move",
  "spread",
  "slope",
  "slope_now",
  ...RESIDUAL_WINDOWS.map((window) => `residual_${window}`),
  ...FIRST_RESIDUAL_WINDOWS.map((window) => `residual_cycle_${window}`),
  "noise",
  "deviation_long",
  "deviation_short",
  "last",
  "level",
  "trend",
  "aligned",
  "offset",
  "misfit",
  "misfit_unmoved",
  ...ADDITIVE_VARIANTS.map((_, i) => `anchor_${i + 1}`),
  ...LOG_VARIANTS.map((_, i) => `log_anchor_${i + 1}`),
];

/** Channels of the recurrent half's sequence, one row per step of `near`. */
export const SEQUENCE_CHANNELS: readonly string[] = ["residual", "level", "difference", "profile_difference"];
/** What the recurrent half knows of each horizon step. */
export const CONTEXT_CHANNELS: readonly string[] = ["profile_move", "anchor_level", "spread"];

/** Raised when a computation changes without its name changing. */
const SERIES_SCHEMA_VERSION = 1;

/** Names the inputs of a series model of a shape; the manifest carries the hash that it was trained with. */
export function seriesSchemaHash(shape: SeriesShape): string {
  const content = {
    version: SERIES_SCHEMA_VERSION,
    season: shape.season,
    horizon: shape.horizon,
    spans: spansOf(shape),
    target: "(y-anchor)/scale",
    anchors: ["mean of first and last", BASE_ANCHOR, ...ADDITIVE_VARIANTS, ...LOG_VARIANTS].map((v) =>
      typeof v === "string" ? v : Object.values(v).map(String),
    ),
    features: SERIES_FEATURES,
    sequence: SEQUENCE_CHANNELS,
    context: CONTEXT_CHANNELS,
  };
  return createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 16);
}
