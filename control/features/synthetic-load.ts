import type { Series } from "./augment.ts";
import { FEATURE_STEP_MS, STEPS_PER_DAY } from "./schema.ts";
import { SeededRandom } from "./seeded-random.ts";

export interface SyntheticLoadOptions {
  seed: number;
  days: number;
  /** Mean load, requests per second. Default 60. */
  meanRps?: number;
  /** Start, ms since the Unix epoch. Default Monday 2026-01-19 00:00 UTC. */
  startMs?: number;
  /** From this day on (counted from 0) the daily rhythm runs `peakShiftSteps` steps late (negative: early). */
  peakShiftFromDay?: number;
  peakShiftSteps?: number;
  /** Standard deviation of the multiplicative noise of one step. Default 0.03. */
  noise?: number;
}

/**
 * A seeded load series for tests: two working-hours humps a day with a steep morning edge, quiet weekends, a slow drift
 * from day to day, and noise. Shapes differ by seed.
 */
export function syntheticLoad(options: SyntheticLoadOptions): Series {
  const {
    seed,
    days,
    meanRps = 60,
    startMs = Date.UTC(2026, 0, 19),
    peakShiftFromDay = days,
    peakShiftSteps = 0,
    noise = 0.03,
  } = options;
  const random = new SeededRandom(seed);
  const morning = random.uniform(8.5, 10.5);
  const afternoon = random.uniform(14, 16.5);
  const weekend = random.uniform(0.3, 0.6);
  const dayLevels = Array.from({ length: days + 2 }, () => Math.exp(0.05 * random.normal()));
  const firstDay = Math.floor(startMs / 86_400_000);
  const values = new Float64Array(days * STEPS_PER_DAY);
  for (let i = 0; i < values.length; i++) {
    const shift = i >= peakShiftFromDay * STEPS_PER_DAY ? peakShiftSteps : 0;
    const ms = startMs + (i - shift) * FEATURE_STEP_MS;
    const hour = (ms % 86_400_000) / 3_600_000;
    const day = Math.floor(ms / 86_400_000);
    const dow = (day + 4) % 7;
    const hump = (centre: number, width: number): number => Math.exp(-(((hour - centre) / width) ** 2));
    const shape = 0.25 + 1.5 * hump(morning, 1.6) + 1.2 * hump(afternoon, 2.2);
    const level = dow === 0 || dow === 6 ? weekend : 1;
    values[i] = Math.max(0, meanRps * shape * level * dayLevels[day - firstDay + 1]! * (1 + noise * random.normal()));
  }
  return { startMs, stepMs: FEATURE_STEP_MS, values };
}
