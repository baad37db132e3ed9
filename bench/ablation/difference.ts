import { bootstrapInterval } from "../../control/forecast/series/bootstrap.ts";

/** What two forecasts of one origin lost, over its judged steps and levels. */
export interface Loss {
  /** Steps since the start of the series; origins near each other are drawn together. */
  origin: number;
  /** Σ pinball loss in the series' own unit, mean over levels, ×2: the numerator of wQL. */
  quantile: [without: number, with_: number];
  /** Σ |y|, the denominator. */
  absolute: number;
  /** Mean absolute error in units of the scale: MASE. */
  mase: [without: number, with_: number];
}

export interface Difference {
  wql: [without: number, with_: number];
  mase: [without: number, with_: number];
  /** Change of wQL in percent, and its 95 % interval. */
  wqlPercent: number;
  wqlInterval: [number, number];
  /** MASE with minus without. */
  maseDifference: number;
  maseInterval: [number, number];
}

/**
 * Paired comparison of two models on the same origins. Blocks of `blockSteps` are drawn with replacement as wholes, since origins whose
 * horizons overlap err alike. Throws where there are fewer than two blocks.
 */
export function compare(losses: readonly Loss[], blockSteps: number): Difference {
  const blocks = [...Map.groupBy(losses, ({ origin }) => Math.floor(origin / blockSteps)).values()];
  if (blocks.length < 2) throw new Error(`${blocks.length} block of ${blockSteps} steps; nothing can be drawn`);
  const wql = (sample: readonly Loss[], i: 0 | 1) =>
    sum(sample, (one) => one.quantile[i]) / sum(sample, (one) => one.absolute);
  const mase = (sample: readonly Loss[], i: 0 | 1) => sum(sample, (one) => one.mase[i]) / sample.length;
  const percent = (sample: readonly Loss[]) => 100 * (wql(sample, 1) / wql(sample, 0) - 1);
  const less = (sample: readonly Loss[]) => mase(sample, 1) - mase(sample, 0);
  return {
    wql: [wql(losses, 0), wql(losses, 1)],
    mase: [mase(losses, 0), mase(losses, 1)],
    wqlPercent: percent(losses),
    wqlInterval: bootstrapInterval(blocks, percent),
    maseDifference: less(losses),
    maseInterval: bootstrapInterval(blocks, less),
  };
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
}
