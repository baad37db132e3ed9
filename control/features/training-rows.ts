import { augment, type Series } from "./augment.ts";
import { FeatureBuilder, MIN_HISTORY_STEPS, toTarget } from "./feature-builder.ts";
import { type FeatureStatistics, featureStatistics } from "./feature-statistics.ts";
import { CLOCK_FEATURES, FEATURES, featureIndex, HORIZON_STEPS } from "./schema.ts";
import { SeededRandom } from "./seeded-random.ts";
import { SeriesWindow } from "./series-window.ts";

export interface TrainingRowsOptions {
  /** Any integer; the same seed and series give the same rows. */
  seed: number;
  /** Changed copies per series. Default 14. */
  copies?: number;
  /** Origins drawn from each series and from each copy. Defaults 2,500 and 600. */
  originsOfSeries?: number;
  originsOfCopy?: number;
  /** Horizons drawn per origin, 1 … HORIZON_STEPS. Default 4. */
  horizonsPerOrigin?: number;
}

export interface TrainingRows {
  /** Row-major, `columns` per row: the features, then the target. Missing features are NaN; targets are finite. */
  data: Float32Array;
  rows: number;
  columns: number;
}

/** Training rows of all series and their changed copies, in an order that depends only on the seed. */
export function buildTrainingRows(series: readonly Series[], options: TrainingRowsOptions): TrainingRows {
  const { seed, copies = 14, originsOfSeries = 2_500, originsOfCopy = 600, horizonsPerOrigin = 4 } = options;
  const random = new SeededRandom(seed);
  const builder = new FeatureBuilder();
  const columns = FEATURES.length + 1;
  const data = new Float32Array(
    series.length * (originsOfSeries + copies * originsOfCopy) * horizonsPerOrigin * columns,
  );
  const block = new Float32Array(HORIZON_STEPS * FEATURES.length);
  let rows = 0;
  const draw = (from: Series, origins: number): void => {
    const window = new SeriesWindow(from.values);
    const last = window.values.length - HORIZON_STEPS;
    if (last < MIN_HISTORY_STEPS) return;
    for (let n = 0; n < origins; n++) {
      const origin = random.integer(MIN_HISTORY_STEPS, last);
      const scale = builder.build(window, origin, from.startMs + origin * from.stepMs, block, 0);
      if (typeof scale === "string") continue;
      for (let k = 0; k < horizonsPerOrigin; k++) {
        const h = random.integer(1, HORIZON_STEPS);
        const target = toTarget(window.values[origin + h - 1]!, scale);
        if (!Number.isFinite(target)) continue;
        data.set(block.subarray((h - 1) * FEATURES.length, h * FEATURES.length), rows * columns);
        data[rows * columns + FEATURES.length] = Math.max(-5, Math.min(5, target));
        rows++;
      }
    }
  };
  for (const one of series) {
    draw(one, originsOfSeries);
    for (let copy = 0; copy < copies; copy++) draw(augment(one, random), originsOfCopy);
  }
  return { data: data.subarray(0, rows * columns), rows, columns };
}

/** Days of past that an origin must have for the statistics: what serving sees once it runs. */
const STATISTICS_DAYS = 14.9;
const STATISTICS_ORIGINS = 4_000;

/**
 * How the inputs are distributed on the series themselves, at origins with their whole past: copies for training are wider than anything
 * that is served, and would hide a drift. Null when no origin has so much past.
 */
export function inputStatistics(series: readonly Series[], seed: number): FeatureStatistics | null {
  const drawn = { seed, copies: 0, originsOfSeries: STATISTICS_ORIGINS, horizonsPerOrigin: 2 };
  const { data, rows, columns } = buildTrainingRows(series, drawn);
  const age = featureIndex("history");
  const kept = new Float32Array(data.length);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    const from = row * columns;
    if (data[from + age]! < STATISTICS_DAYS) continue;
    kept.set(data.subarray(from, from + columns), at);
    at += columns;
  }
  const names = FEATURES.map(({ name }) => name);
  return at === 0 ? null : featureStatistics(kept.subarray(0, at), columns, names, CLOCK_FEATURES);
}
