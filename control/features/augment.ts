import { STEPS_PER_DAY } from "./schema.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** A regular series of load; `startMs` is the start of values[0]. */
export interface Series {
  startMs: number;
  stepMs: number;
  values: Float64Array;
}

/**
 * A changed copy of a load series for training. A model that only ever saw the one history would learn its clock by
 * heart; the copies make the clock useless (the whole series moved by hours and days), teach that a rhythm can move
 * from one day to the next (regimes of up to three hours' shift), that levels jump, that peaks are flatter or steeper,
 * and that live readings are noisier than an averaged history and have gaps. No copy uses values outside `series`.
 */
export function augment(series: Series, random: SeededRandom): Series {
  let values = stretch(series.values, random.uniform(0.6, 1.6));
  values = shiftRegimes(values, random);
  levelRegimes(values, random);
  addNoise(values, random.pick([0, 0, 0.03, 0.08, 0.14]), random);
  if (random.next() < 0.4) cutGaps(values, random);
  let startMs =
    series.startMs + series.stepMs * (random.integer(0, STEPS_PER_DAY - 1) + STEPS_PER_DAY * random.integer(0, 6));
  if (random.next() < 0.25) {
    const keep = Math.min(values.length, Math.round(random.uniform(2, 12) * STEPS_PER_DAY));
    startMs += (values.length - keep) * series.stepMs;
    values = values.slice(values.length - keep);
  }
  return { startMs, stepMs: series.stepMs, values };
}

/** Raises the ratio to the mean to a power: below 1 flatter, above 1 steeper. */
function stretch(values: Float64Array, power: number): Float64Array {
  let sum = 0;
  let count = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    sum += value;
    count++;
  }
  const mean = count === 0 ? 0 : sum / count;
  return mean === 0 ? values.slice() : values.map((value) => mean * (value / mean) ** power);
}

/** Stretches of 1 to 10 days run up to three hours early or late. */
function shiftRegimes(values: Float64Array, random: SeededRandom): Float64Array {
  const out = new Float64Array(values.length);
  let until = 0;
  let shift = 0;
  for (let i = 0; i < values.length; i++) {
    if (i >= until) {
      until = i + Math.round(random.uniform(1, 10) * STEPS_PER_DAY);
      shift = random.next() < 0.45 ? 0 : random.integer(-36, 36);
    }
    const from = i - shift;
    out[i] = from >= 0 && from < values.length ? values[from]! : Number.NaN;
  }
  return out;
}

/** Lasting jumps and ramps of the level, every few days. */
function levelRegimes(values: Float64Array, random: SeededRandom): void {
  let until = Math.round(random.uniform(2, 10) * STEPS_PER_DAY);
  let log = 0;
  let goal = 0;
  let ramp = 1;
  for (let i = 0; i < values.length; i++) {
    if (i >= until) {
      until = i + Math.round(random.uniform(2, 10) * STEPS_PER_DAY);
      goal = 0.25 * random.normal();
      ramp = random.pick([1, 12, STEPS_PER_DAY]);
    }
    log += (goal - log) / ramp;
    values[i] = values[i]! * Math.exp(log);
  }
}

function addNoise(values: Float64Array, sigma: number, random: SeededRandom): void {
  if (sigma === 0) return;
  for (let i = 0; i < values.length; i++) values[i] = Math.max(0, values[i]! * (1 + sigma * random.normal()));
}

/** About three gaps a week: most up to two hours, some, as after a restart, up to eight. */
function cutGaps(values: Float64Array, random: SeededRandom): void {
  const gaps = Math.round((3 * values.length) / (7 * STEPS_PER_DAY));
  for (let gap = 0; gap < gaps; gap++) {
    const from = random.integer(0, values.length - 1);
    values.fill(Number.NaN, from, from + random.integer(1, random.next() < 0.7 ? 24 : 96));
  }
}
