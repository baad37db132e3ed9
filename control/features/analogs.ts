import { HORIZON_STEPS, LAG_DAYS, STEPS_PER_DAY } from "./schema.ts";
import type { SeriesWindow } from "./series-window.ts";

/*
 * Analog forecasting: spans of the past that look like the last hours, and what came after them. Candidates are the
 * same time 1, 2, 3, 7 and 14 days ago, each also moved by up to three hours either way, so that a day whose rhythm runs
 * early or late still finds its like. All loads are logarithms of block means.
 *
 *   block of 3 steps: centres -1, -4, … -46 before the origin (four hours), weighted towards now
 *   block of 12 steps: centres -6, -18, … (24 hours)
 */
const NEAR_BLOCKS = 16;
const NEAR_STEP = 3;
const FAR_BLOCKS = 24;
const FAR_STEP = 12;
const MAX_OFFSET = 36;
const OFFSET_STEP = 6;
const OFFSETS = (2 * MAX_OFFSET) / OFFSET_STEP + 1;
const NO_OFFSET = MAX_OFFSET / OFFSET_STEP;

/** First and last 3-step block centre needed around a lag, relative to the origin. */
const NEAR_FROM = -1 - NEAR_STEP * (NEAR_BLOCKS - 1) - MAX_OFFSET;
const NEAR_TO = HORIZON_STEPS + MAX_OFFSET;
const NEAR_LENGTH = NEAR_TO - NEAR_FROM + 1;
/** The same for 12-step blocks, in units of OFFSET_STEP. */
const FAR_FROM = (-6 - FAR_STEP * (FAR_BLOCKS - 1) - MAX_OFFSET) / OFFSET_STEP;
const FAR_TO = (-6 + MAX_OFFSET) / OFFSET_STEP;
const FAR_LENGTH = FAR_TO - FAR_FROM + 1;

/** Weight of the four-hour blocks: half every 65 minutes, so that the level is of the last hour and the shape of four. */
const NEAR_WEIGHTS = Float64Array.from({ length: NEAR_BLOCKS }, (_, j) => 0.85 ** j);

/** Fewer blocks in common than this say nothing about the likeness of two shapes. */
const MIN_NEAR_BLOCKS = 8;
const MIN_FAR_BLOCKS = 16;

/**
 * Prior cost of a candidate, in units of misfit tolerance: the week is trusted most, other days and offsets need a
 * better fit to win. Chosen on the training span of the demo history and its shifted copies.
 */
const LAG_COST: readonly number[] = [0.3, 0.8, 1.2, 0, 0.7];
const OFFSET_COST_PER_HOUR = 0.25;
/** Misfit (variance of log load) that is always tolerated, and the share of the best misfit added to it. */
const TOLERANCE = 0.0008;
const TOLERANCE_OF_BEST = 0.5;

export interface Analogs {
  /** [h - 1]: weighted mean of all candidates relative to the level, log ratio; 0 where there is none. */
  anchor: Float64Array;
  /** [h - 1]: NaN where there is no candidate. */
  best: Float64Array;
  spread: Float64Array;
  /** [lag][h - 1]: candidate without offset; NaN where the past is missing. */
  byLag: readonly Float64Array[];
  /** Root mean square misfit per lag without offset; NaN where the past is missing. */
  misfitByLag: Float64Array;
  misfitBest: number;
  /** Steps; NaN where there is no candidate. */
  offsetBest: number;
  /** Log of the 3-step mean around `centre` of the same time so many days ago; centres as in `logToday`. */
  logThen(lagIndex: number, centre: number): number;
  /** Log of today's 3-step mean around `centre`: -1, -4, … -46, counted from the last complete step as 0. */
  logToday(centre: number): number;
  /** Log of today's 12-step mean that ended `k` hours before the origin. */
  logHour(k: number): number;
}

/** Working memory for one origin, reused from call to call: the builder runs thousands of times when training. */
export class AnalogFinder {
  readonly #near = LAG_DAYS.map(() => new Float64Array(NEAR_LENGTH));
  readonly #far = LAG_DAYS.map(() => new Float64Array(FAR_LENGTH));
  readonly #todayNear = new Float64Array(NEAR_BLOCKS);
  readonly #todayFar = new Float64Array(FAR_BLOCKS);
  readonly #misfit = new Float64Array(LAG_DAYS.length * OFFSETS);
  readonly #shift = new Float64Array(LAG_DAYS.length * OFFSETS);
  readonly #weight = new Float64Array(LAG_DAYS.length * OFFSETS);
  readonly #result: Analogs = {
    anchor: new Float64Array(HORIZON_STEPS),
    best: new Float64Array(HORIZON_STEPS),
    spread: new Float64Array(HORIZON_STEPS),
    byLag: LAG_DAYS.map(() => new Float64Array(HORIZON_STEPS)),
    misfitByLag: new Float64Array(LAG_DAYS.length),
    misfitBest: Number.NaN,
    offsetBest: Number.NaN,
    logThen: (lagIndex, centre) => this.#near[lagIndex]![centre - NEAR_FROM]!,
    logToday: (centre) => this.#todayNear[(-1 - centre) / NEAR_STEP]!,
    logHour: (k) => this.#todayFar[k]!,
  };

  /**
   * Finds the analogs of the steps before index `origin` (exclusive) of `series`. The result is overwritten by the next call.
   * @param levelLog log(level + eps) that the result is relative to
   * @param eps added to every load before the logarithm, requests per second
   */
  find(series: SeriesWindow, origin: number, levelLog: number, eps: number): Analogs {
    this.#readBlocks(series, origin, eps);
    const result = this.#result;
    let best = -1;
    for (let lag = 0; lag < LAG_DAYS.length; lag++) {
      for (let o = 0; o < OFFSETS; o++) {
        const c = lag * OFFSETS + o;
        this.#compare(lag, o);
        if (!Number.isNaN(this.#misfit[c]!) && (best < 0 || this.#misfit[c]! < this.#misfit[best]!)) best = c;
      }
      result.misfitByLag[lag] = Math.sqrt(this.#misfit[lag * OFFSETS + NO_OFFSET]!);
    }
    result.misfitBest = best < 0 ? Number.NaN : Math.sqrt(this.#misfit[best]!);
    result.offsetBest = best < 0 ? Number.NaN : ((best % OFFSETS) - NO_OFFSET) * OFFSET_STEP;
    this.#weigh(best);
    for (let h = 1; h <= HORIZON_STEPS; h++) this.#blend(h, best, levelLog);
    return result;
  }

  #readBlocks(series: SeriesWindow, origin: number, eps: number): void {
    for (let j = 0; j < NEAR_BLOCKS; j++) {
      const centre = origin - 2 - NEAR_STEP * j;
      this.#todayNear[j] = Math.log(series.mean(centre - 1, centre + 2) + eps);
    }
    for (let k = 0; k < FAR_BLOCKS; k++) {
      const end = origin - FAR_STEP * k;
      this.#todayFar[k] = Math.log(series.mean(end - FAR_STEP, end) + eps);
    }
    for (let lag = 0; lag < LAG_DAYS.length; lag++) {
      // Index of relative centre 0 is the step at `origin - 1`, so centre h is the step h after the last complete one.
      const zero = origin - 1 - LAG_DAYS[lag]! * STEPS_PER_DAY;
      const near = this.#near[lag]!;
      for (let i = 0; i < NEAR_LENGTH; i++) {
        const centre = zero + NEAR_FROM + i;
        near[i] = Math.log(series.mean(centre - 1, centre + 2) + eps);
      }
      const far = this.#far[lag]!;
      for (let i = 0; i < FAR_LENGTH; i++) {
        const centre = zero + 1 + (FAR_FROM + i) * OFFSET_STEP;
        far[i] = Math.log(series.mean(centre - FAR_STEP / 2, centre + FAR_STEP / 2) + eps);
      }
    }
  }

  /**
   * Misfit of one candidate: mean of the variances of (today − then) over the last four and the last 24 hours. After a gap,
   * when less than half of the four hours is known, the day alone tells the shape and what is known the level.
   */
  #compare(lag: number, o: number): void {
    const c = lag * OFFSETS + o;
    const near = this.#near[lag]!;
    const first = -1 + (o - NO_OFFSET) * OFFSET_STEP - NEAR_FROM;
    let weight = 0;
    let sum = 0;
    let squares = 0;
    let nearBlocks = 0;
    for (let j = 0; j < NEAR_BLOCKS; j++) {
      const difference = this.#todayNear[j]! - near[first - NEAR_STEP * j]!;
      if (Number.isNaN(difference)) continue;
      const w = NEAR_WEIGHTS[j]!;
      weight += w;
      sum += w * difference;
      squares += w * difference * difference;
      nearBlocks++;
    }
    const shift = sum / weight;
    const nearMisfit = Math.max(0, squares / weight - shift * shift);
    const far = this.#far[lag]!;
    const farFirst = -1 + (o - NO_OFFSET) - FAR_FROM;
    sum = 0;
    squares = 0;
    let farBlocks = 0;
    for (let k = 0; k < FAR_BLOCKS; k++) {
      const difference = this.#todayFar[k]! - far[farFirst - (FAR_STEP / OFFSET_STEP) * k]!;
      if (Number.isNaN(difference)) continue;
      sum += difference;
      squares += difference * difference;
      farBlocks++;
    }
    const farMisfit = Math.max(0, squares / farBlocks - (sum / farBlocks) ** 2);
    const nearKnown = nearBlocks >= MIN_NEAR_BLOCKS;
    const farKnown = farBlocks >= MIN_FAR_BLOCKS;
    if (nearBlocks === 0 || !(nearKnown || farKnown)) {
      this.#misfit[c] = Number.NaN;
      this.#shift[c] = Number.NaN;
      return;
    }
    this.#misfit[c] = nearKnown && farKnown ? (nearMisfit + farMisfit) / 2 : nearKnown ? nearMisfit : farMisfit;
    this.#shift[c] = shift;
  }

  /** A candidate's weight is the same at every horizon: one exponential each, not one per step. */
  #weigh(best: number): void {
    const floor = best < 0 ? 0 : this.#misfit[best]!;
    const tolerance = TOLERANCE + TOLERANCE_OF_BEST * floor;
    for (let c = 0; c < this.#misfit.length; c++) {
      const hours = Math.abs((c % OFFSETS) - NO_OFFSET) * (OFFSET_STEP / 12);
      const cost = LAG_COST[Math.floor(c / OFFSETS)]! + OFFSET_COST_PER_HOUR * hours;
      this.#weight[c] = Math.exp(-(this.#misfit[c]! - floor) / tolerance - cost);
    }
  }

  #blend(h: number, best: number, levelLog: number): void {
    const result = this.#result;
    let weight = 0;
    let sum = 0;
    let squares = 0;
    let c = 0;
    for (let lag = 0; lag < LAG_DAYS.length; lag++) {
      const near = this.#near[lag]!;
      const first = h - NO_OFFSET * OFFSET_STEP - NEAR_FROM;
      for (let o = 0; o < OFFSETS; o++, c++) {
        const value = near[first + o * OFFSET_STEP]! + this.#shift[c]! - levelLog;
        if (o === NO_OFFSET) result.byLag[lag]![h - 1] = value;
        if (c === best) result.best[h - 1] = value;
        if (Number.isNaN(value)) continue;
        const w = this.#weight[c]!;
        weight += w;
        sum += w * value;
        squares += w * value * value;
      }
    }
    if (best < 0) result.best[h - 1] = Number.NaN;
    result.anchor[h - 1] = weight > 0 ? sum / weight : 0;
    result.spread[h - 1] = weight > 0 ? Math.sqrt(Math.max(0, squares / weight - (sum / weight) ** 2)) : Number.NaN;
  }
}
