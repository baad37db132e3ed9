import { hash } from "node:crypto";

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

/** Steps before an origin that its inputs depend on at most, whatever came before them but for the scale. */
export function reachOf(shape: SeriesShape): number {
  const { back, near, edge } = spansOf(shape);
  const variants = CYCLE_FAMILIES.flatMap(({ log, plain }) => [...log, ...plain]);
  const cycles = Math.max(...variants.map((one) => one.cycles));
  const compared = Math.max(...variants.map((one) => one.compare)) * near;
  const memory = Math.max(MEMORY_HORIZONS * shape.horizon, back);
  return lagOf(shape, cycles) + Math.max(compared, back) + edge + memory;
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

/** What residuals and the recurrent half are taken of. */
export const BASE_ANCHOR: AnchorVariant = variant(8, 0.9, 0.3, 1, 0.3, 0.99);

/** Mean of up to 24 cycles as they were: a residual fades at once. */
export const PROFILE_ONLY: AnchorVariant = variant(24, 1, Number.POSITIVE_INFINITY, 1, 1, 0);

/** Ways to judge a past cycle: tolerance and span of the comparison. */
const COMPARISONS: readonly (readonly [tolerance: number, compare: number])[] = [
  [0.1, 1],
  [0.3, 1],
  [0.3, 6],
  [1, 1],
];
type Level = readonly [alpha: number, fade: number];
function matched(choices: readonly (readonly [cycles: number, decay: number])[], levels: readonly Level[]) {
  return choices.flatMap(([cycles, decay]) =>
    COMPARISONS.flatMap(([tolerance, compare]) =>
      levels.map(([alpha, fade]) => variant(cycles, decay, tolerance, compare, alpha, fade)),
    ),
  );
}
const averaged = (alphas: readonly number[]) =>
  alphas.map((alpha) => variant(24, 1, Number.POSITIVE_INFINITY, 1, alpha, 1));
const [NEAR, SOME, ALL] = [[3, 0.9] as const, [8, 0.9] as const, [24, 1] as const];

/**
 * Members of the forecast bank, by families that err alike; `log` are computed on logarithms. Their medians are combined into the anchor:
 * see `ForecastBank`. The families and what is in them were chosen on validation spans only.
 */
export const CYCLE_FAMILIES: readonly {
  name: string;
  log: readonly AnchorVariant[];
  plain: readonly AnchorVariant[];
}[] = (() => {
  const keeps: readonly Level[] = [0.1, 0.3, 0.6, 0.9].map((alpha) => [alpha, 1] as const);
  const fading = matched([NEAR, SOME, ALL], [[0.3, 0.99]]);
  const kept = matched([SOME, ALL], keeps);
  const near = matched([NEAR], keeps.slice(1));
  return [
    { name: "fading", log: fading, plain: fading },
    { name: "ratio_kept", log: kept, plain: [] },
    { name: "level_kept", log: [], plain: kept },
    { name: "all_cycles", log: averaged([0.3, 0.6, 0.9]), plain: averaged([0.3, 0.6, 0.9]) },
    { name: "all_cycles_slow", log: averaged([0.1, 0.03]), plain: [...averaged([0.1, 0.03]), PROFILE_ONLY] },
    { name: "near_cycles", log: near, plain: near },
  ];
})();

/** Families that know no season: simple exponential smoothing by α per step (1 = the last value), means, and trends. */
export const FLAT_FAMILIES = ["flat_fast", "flat", "flat_slow", "trend"] as const;
export const SMOOTHING: Readonly<Record<(typeof FLAT_FAMILIES)[number], readonly number[]>> = {
  flat_fast: [1, 0.6, 0.3],
  flat: [0.15, 0.08, 0.04],
  flat_slow: [0.02, 0.01],
  trend: [],
};
/** They look back `SMOOTHING_SPANS` × `back` steps. */
export const SMOOTHING_SPANS = 4;
/** Damped trend (Holt) on the last `back` steps, in the family `trend` beside the lines through these steps and through all. */
export const TREND = { alpha: 0.5, beta: 0.1, phi: 0.9 } as const;
/** Horizons (at least `back` steps) over which the errors of families are remembered. */
export const MEMORY_HORIZONS = 8;

export const FAMILIES: readonly string[] = [...CYCLE_FAMILIES.map(({ name }) => name), ...FLAT_FAMILIES];

/** Windows over which residuals are averaged, steps at a stretch of 1. */
export const RESIDUAL_WINDOWS = [1, 3, 6, 12, 30, 60, 120] as const;
export const FIRST_RESIDUAL_WINDOWS = [3, 12, 60] as const;
/** Cycles of the plain profiles below. */
export const PROFILE_CYCLES = 5;

const profiles = ["1", "3", "5", "median"];

/**
 * Columns of the trees, one row per horizon step. Everything but `step` and `offset` is in units of the series' own scale
 * (mean absolute difference to one season before, over its past) and relative to the anchor, so size plays no part.
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
  ...FAMILIES.map((name) => `family_${name}`),
  "disagreement",
  "bank_loss",
  "bank_least_loss",
];

/** Channels of the recurrent half's sequence, one row per step of `near`. */
export const SEQUENCE_CHANNELS: readonly string[] = ["residual", "level", "difference", "profile_difference"];
/** What the recurrent half knows of each horizon step. */
export const CONTEXT_CHANNELS: readonly string[] = [
  "place",
  "profile_move",
  "anchor_level",
  "spread",
  "disagreement",
  "bank_loss",
  "seasonal_naive",
  ...FAMILIES.map((name) => `family_${name}`),
];

/** Raised when a computation changes without its name changing. */
const SERIES_SCHEMA_VERSION = 2;

/** Names the inputs of a series model of a shape; the manifest carries the hash that it was trained with. */
export function seriesSchemaHash(shape: SeriesShape): string {
  const content = {
    version: SERIES_SCHEMA_VERSION,
    season: shape.season,
    horizon: shape.horizon,
    spans: spansOf(shape),
    target: "(y-anchor)/scale",
    anchors: [BASE_ANCHOR, ...CYCLE_FAMILIES.flatMap(({ log, plain }) => [...log, ...plain])].map((v) =>
      Object.values(v).map(String),
    ),
    bank: [FAMILIES, SMOOTHING, SMOOTHING_SPANS, TREND, "lines", MEMORY_HORIZONS],
    features: SERIES_FEATURES,
    sequence: SEQUENCE_CHANNELS,
    context: CONTEXT_CHANNELS,
  };
  return hash("sha256", JSON.stringify(content)).slice(0, 16);
}
