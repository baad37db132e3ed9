/**
 * Throughput of one target at its objective, learnt from load and latency. Pure: time comes with the readings.
 *
 * Loads fall into geometric bins; each keeps how much of its time broke the objective. The share of broken time rises with load
 * (isotonic regression by pooling adjacent violators, Barlow et al. 1972), and the capacity is where it crosses one half. Shares
 * instead of mean latencies: one slow minute in ten moves nothing. Where nothing broke yet the readings are censored: either
 * the queueing curve is visible, 1/latency ∝ μ − λ for every quantile of M/M/1 and nearly so for others near saturation, and is drawn out to the
 * objective, or all that is known is "at least".
 */
export interface Objective {
  /** At the quantile that the readings have. */
  latencyMs: number;
  /** Largest share of failed requests, 0 … 1. */
  errorShare: number;
}

/** Load and latency of one target over some seconds. */
export interface CapacityReading {
  atMs: number;
  seconds: number;
  rps: number;
  latencyMs: number | null;
  errorShare: number | null;
}

/**
 * - `measured`: loads on both sides of the objective were seen.
 * - `at_most`: it was broken at every load seen.
 * - `extrapolated`: never broken, but latency rises with load and the curve is drawn out to the objective.
 * - `at_least`: never broken, and no curve to be seen.
 */
export type EstimateKind = "measured" | "at_most" | "extrapolated" | "at_least";

export interface CapacityEstimate {
  kind: EstimateKind;
  rps: number;
  /** 95 % interval; high is Infinity for `at_least`. */
  lowRps: number;
  highRps: number;
  /** Weight behind it, minutes of readings after forgetting. */
  minutes: number;
  /** Time since its newest reading. */
  ageMs: number;
}

/** What an estimator has seen, for another to go on with. */
export interface EstimatorState {
  /** Time up to which the bins have faded. */
  agedMs: number;
  /** Of the newest reading. */
  lastMs: number;
  bins: readonly BinState[];
}

/** Bin of the geometric scale; weight in readings, of it broken, and the means of load and of 1/latency. */
export type BinState = readonly [index: number, weight: number, broken: number, rps: number, perMs: number];

/** No bin of a state lies beyond: loads from MIN_RPS to 10¹². */
const INDEXES = { least: -50, most: 600 };

interface Bin {
  /** Readings. */
  weight: number;
  broken: number;
  /** Sums weighted like `weight`. */
  load: number;
  inverse: number;
}

/** Default: a reading of so many seconds counts as one independent observation; successive seconds are alike. */
const READING_S = 10;
/** A longer interval counts as so many readings at most. */
const MAX_READINGS = 6;
const BIN_RATIO = 1.05;
/** A factor of over 100 between the lowest and the highest load kept; the lowest bins go first. */
export const MAX_BINS = 100;
/** A bin remembers so many readings or so, four minutes of the default: what it saw before is outweighed. */
const MAX_BIN_WEIGHT = 24;
/** Each reading takes this part off what contradicts it: older successes at higher loads, older failures at lower ones. */
const CONTRADICTION = 0.08;
const MIN_RPS = 0.1;
const MIN_BIN_WEIGHT = 0.5;
const MIN_WEIGHT = 12;
/** Below this weight of broken readings nothing is called broken. */
const MIN_BROKEN = 3;
/** The curve counts as visible when the latency at the highest loads is this many times that at the lowest. */
const VISIBLE = 1.5;
/** Never drawn out further than this many times the highest load seen. */
const MAX_REACH = 1.5;
const Z = 1.96;
/** One latency counts as so many times the promised one at most and at least: a single stuck or empty answer must not bend the curve. */
const LATENCY_RANGE = { least: 1 / 1024, most: 16 };
/** The bins fade in steps of this part of the half-life, not at every reading. */
const AGING_PART = 1 / 256;

export class CapacityEstimator {
  readonly #objective: Objective;
  readonly #halfLifeMs: number;
  readonly #readingS: number;
  readonly #bins = new Map<number, Bin>();
  #agedMs: number | null = null;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** `halfLifeMs`: after it an observation counts half; default 7 days. `readingS`: seconds that count as one observation. */
  constructor(objective: Objective, options: { halfLifeMs?: number; readingS?: number } = {}) {
    this.#objective = objective;
    this.#halfLifeMs = options.halfLifeMs ?? 7 * 86_400_000;
    this.#readingS = options.readingS ?? READING_S;
  }

  /** False for a reading that says nothing: too little load, or neither latency nor errors. */
  observe({ atMs, seconds, rps, latencyMs, errorShare }: CapacityReading): boolean {
    if (!(rps >= MIN_RPS) || !Number.isFinite(rps) || !(seconds > 0) || (latencyMs === null && errorShare === null))
      return false;
    this.#age(atMs);
    this.#lastMs = Math.max(this.#lastMs, atMs);
    const weight = Math.min(seconds / this.#readingS, MAX_READINGS);
    const broken = (latencyMs ?? 0) > this.#objective.latencyMs || (errorShare ?? 0) > this.#objective.errorShare;
    const index = Math.floor(Math.log(rps) / Math.log(BIN_RATIO));
    const bin = this.#bins.get(index) ?? { weight: 0, broken: 0, load: 0, inverse: 0 };
    this.#bins.set(index, bin);
    const { latencyMs: limit } = this.#objective;
    const latency = Math.min(limit * LATENCY_RANGE.most, Math.max(limit * LATENCY_RANGE.least, latencyMs ?? limit));
    bin.weight += weight;
    bin.broken += broken ? weight : 0;
    bin.load += weight * rps;
    bin.inverse += weight / latency;
    if (bin.weight > MAX_BIN_WEIGHT) scale(bin, MAX_BIN_WEIGHT / bin.weight);
    this.#contradict(index, broken, (1 - CONTRADICTION) ** weight);
    while (this.#bins.size > MAX_BINS) this.#bins.delete(Math.min(...this.#bins.keys()));
    return true;
  }

  /** Null when nothing was seen. */
  state(): EstimatorState | null {
    if (this.#agedMs === null || this.#bins.size === 0) return null;
    const bins = [...this.#bins].map(
      ([index, { weight, broken, load, inverse }]): BinState => [
        index,
        short(weight),
        Math.min(short(weight), short(broken)),
        short(load / weight),
        short(inverse / weight),
      ],
    );
    return { agedMs: this.#agedMs, lastMs: this.#lastMs, bins };
  }

  /** Goes on with what another has seen; its evidence fades for the time in between. False, and nothing taken, for a state that is not sound. */
  restore({ agedMs, lastMs, bins }: EstimatorState, nowMs: number): boolean {
    const sound = bins.every(
      ([index, weight, broken, rps, perMs]) =>
        Number.isSafeInteger(index) &&
        index >= INDEXES.least &&
        index <= INDEXES.most &&
        weight > 0 &&
        weight <= MAX_BIN_WEIGHT &&
        broken >= 0 &&
        broken <= weight &&
        rps >= MIN_RPS &&
        Number.isFinite(rps) &&
        perMs > 0 &&
        Number.isFinite(perMs),
    );
    if (!sound || bins.length > MAX_BINS || !Number.isFinite(agedMs) || !Number.isFinite(lastMs)) return false;
    this.#bins.clear();
    for (const [index, weight, broken, rps, perMs] of bins)
      this.#bins.set(index, { weight, broken, load: weight * rps, inverse: weight * perMs });
    // A clock that was set back would stop the fading until it has caught up.
    this.#agedMs = Math.min(agedMs, nowMs);
    this.#lastMs = Math.min(lastMs, nowMs);
    return true;
  }

  /** Null while too little has been seen. */
  estimate(nowMs: number): CapacityEstimate | null {
    this.#age(nowMs);
    const bins = [...this.#bins]
      .sort(([a], [b]) => a - b)
      .flatMap(([, bin]) => (bin.weight >= MIN_BIN_WEIGHT ? bin : []));
    const weight = bins.reduce((sum, bin) => sum + bin.weight, 0);
    if (weight < MIN_WEIGHT) return null;
    const of = { minutes: (weight * this.#readingS) / 60, ageMs: Math.max(0, nowMs - this.#lastMs) };
    const loads = bins.map((bin) => bin.load / bin.weight);
    const highest = loads.at(-1)!;
    const blocks = isotonic(bins);
    const over = blocks.findIndex((block) => block.broken / block.weight > 0.5);
    const broken = over < 0 ? 0 : blocks.slice(over).reduce((sum, block) => sum + block.broken, 0);
    if (over < 0 || broken < MIN_BROKEN) return { ...this.#censored(bins, loads, highest), ...of };
    if (over === 0) return { kind: "at_most", rps: loads[0]!, lowRps: 0, highRps: loads[0]!, ...of };
    const [below, above] = [blocks[over - 1]!, blocks[over]!];
    const [from, to] = [loads[below.last]!, loads[above.first]!];
    const [low, high] = [below.broken / below.weight, above.broken / above.weight];
    const rps = from * (to / from) ** ((0.5 - low) / (high - low));
    const sure = blocks.findLastIndex((block) => wilson(block, Z) < 0.5);
    const lost = blocks.findIndex((block) => wilson(block, -Z) > 0.5);
    return {
      kind: "measured",
      rps,
      lowRps: Math.min(rps, sure < 0 ? loads[0]! : loads[Math.min(blocks[sure]!.last, below.last)]!),
      highRps: Math.max(rps, lost < 0 ? highest : loads[blocks[lost]!.first]!),
      ...of,
    };
  }

  /** Only a reading that its own bin agrees with: one slow minute at night must not make the day's evidence forgotten. */
  #contradict(index: number, broken: boolean, keep: number): void {
    const own = this.#bins.get(index)!;
    if (own.broken / own.weight > 0.5 !== broken) return;
    for (const [other, seen] of this.#bins) {
      if (broken && other > index) forget(seen, (seen.weight - seen.broken) * (1 - keep), 0);
      if (!broken && other < index) forget(seen, 0, seen.broken * (1 - keep));
    }
  }

  #censored(
    bins: readonly Bin[],
    loads: readonly number[],
    highest: number,
  ): Omit<CapacityEstimate, "minutes" | "ageMs"> {
    const atLeast = { kind: "at_least" as const, rps: highest, lowRps: highest, highRps: Number.POSITIVE_INFINITY };
    const line = fitLine(bins, loads);
    if (line === null || line.slope >= 0) return atLeast;
    const at = (load: number): number => line.level + line.slope * load;
    const [first, last] = [at(loads[0]!), Math.max(1e-9, at(highest))];
    if (first / last < VISIBLE) return atLeast;
    const crossing = (1 / this.#objective.latencyMs - line.level) / line.slope;
    const rps = Math.min(MAX_REACH * highest, Math.max(highest, crossing));
    return { kind: "extrapolated", rps, lowRps: highest, highRps: Math.max(rps, MAX_REACH * highest) };
  }

  #age(nowMs: number): void {
    const before = this.#agedMs;
    if (before === null) this.#agedMs = nowMs;
    if (before === null || nowMs - before < this.#halfLifeMs * AGING_PART) return;
    this.#agedMs = nowMs;
    const keep = 0.5 ** ((nowMs - before) / this.#halfLifeMs);
    for (const [index, bin] of this.#bins) {
      scale(bin, keep);
      if (bin.weight < MIN_BIN_WEIGHT / 4) this.#bins.delete(index);
    }
  }
}

/** Four significant digits: a tenth of a per mille, far below what readings tell. */
function short(value: number): number {
  return Number(value.toPrecision(4));
}

function scale(bin: Bin, by: number): void {
  bin.weight *= by;
  bin.broken *= by;
  bin.load *= by;
  bin.inverse *= by;
}

/** Takes weight of good and of broken readings off a bin; its mean load and latency stay. */
function forget(bin: Bin, good: number, broken: number): void {
  if (good + broken === 0) return;
  const left = Math.max(1e-9, bin.weight - good - broken);
  const rest = bin.broken - broken;
  scale(bin, left / bin.weight);
  bin.broken = Math.min(bin.weight, Math.max(0, rest));
}

interface Block {
  first: number;
  last: number;
  weight: number;
  broken: number;
}

/** Shares of broken readings that never fall with load, nearest to the bins' own in weighted least squares. */
function isotonic(bins: readonly Bin[]): Block[] {
  const blocks: Block[] = [];
  bins.forEach(({ weight, broken }, i) => {
    let block: Block = { first: i, last: i, weight, broken };
    for (
      let before = blocks.at(-1);
      before !== undefined && before.broken / before.weight >= block.broken / block.weight;
      before = blocks.at(-1)
    ) {
      blocks.pop();
      block = {
        first: before.first,
        last: i,
        weight: before.weight + block.weight,
        broken: before.broken + block.broken,
      };
    }
    blocks.push(block);
  });
  return blocks;
}

/** Bound of the Wilson score interval (1927) of a block's share: upper for z > 0, lower for z < 0. */
function wilson({ weight: n, broken }: Block, z: number): number {
  const p = broken / n;
  const root = Math.sqrt((p * (1 - p)) / n + z ** 2 / (4 * n ** 2));
  return (p + z ** 2 / (2 * n) + z * root) / (1 + z ** 2 / n);
}

/** Weighted least squares of 1/latency over load; null with fewer than four loads. */
function fitLine(bins: readonly Bin[], loads: readonly number[]): { level: number; slope: number } | null {
  if (bins.length < 4) return null;
  let [w, x, y, xx, xy] = [0, 0, 0, 0, 0];
  bins.forEach((bin, i) => {
    const [load, inverse] = [loads[i]!, bin.inverse / bin.weight];
    w += bin.weight;
    x += bin.weight * load;
    y += bin.weight * inverse;
    xx += bin.weight * load ** 2;
    xy += bin.weight * load * inverse;
  });
  const spread = w * xx - x * x;
  if (!(spread > 1e-9 * w * xx)) return null;
  const slope = (w * xy - x * y) / spread;
  return { slope, level: (y - slope * x) / w };
}
