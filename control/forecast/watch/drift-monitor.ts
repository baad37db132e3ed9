import type { FeatureStatistics } from "../../features/feature-statistics.ts";
import { LOAD_SIGNS } from "../../features/series/load-signs.ts";
import { histogramLayout, InputHistogram } from "../model/input-histogram.ts";
import { jensenShannon } from "./divergence.ts";
import type { ScoredWindow } from "./outcomes.ts";

/**
 * Jensen–Shannon divergence (base 2) from training at which an input counts as moved; the training pipeline uses the same. On ordinary days of
 * the demo at most 2 of 28 inputs pass it (those that compare a Monday with the Sunday before it); with doubled noise, tenfold load, every
 * second reading missing, a flat line or a square wave 5 to 22 do.
 */
export const INPUT_MOVED = 0.3;
/** Share of the judged inputs that must have moved for a warning, and for the model to count as drifted. */
export const WARN_SHARE = 0.1;
export const DRIFTED_SHARE = 0.15;
/** Divergence of the shares observed between the model's levels from those of its backtest. */
export const RESIDUAL_WARN = 0.05;
export const RESIDUAL_DRIFTED = 0.15;

/**
 * Divergence of one sign of the loads: a fifth, and half, of what was looked at lies beyond all that training saw. Signs are of a whole day
 * each, so an hour's look at them is as good as another.
 */
export const SIGN_WARN = 0.1;
export const SIGN_DRIFTED = 0.3;
/** Looks that signs are judged over, and the least of them. */
const SIGN_LOOKS = 12;
const MIN_SIGN_LOOKS = 6;

/** Buckets of one span: what is judged is always a whole one, or the time of day alone would look like drift. */
const BUCKETS = 8;
/** Windows whose residuals are judged, and the least of them. */
const RESIDUAL_WINDOWS = 48;
const MIN_RESIDUAL_WINDOWS = 12;

/**
 * `off`: the manifest has nothing to compare with. `warming`: less than a span was seen. `steady`, `warn`, `drifted`: see the thresholds above.
 */
export type DriftVerdict = "off" | "warming" | "steady" | "warn" | "drifted";

export interface DriftState {
  verdict: DriftVerdict;
  /** One sentence for people; null while there is nothing to say. */
  text: string | null;
  /** Per input its divergence from training, largest first; empty while warming. */
  inputs: { name: string; divergence: number }[];
  /** Per sign of the loads its divergence from training, largest first; empty while too few were seen. */
  signs: { name: string; divergence: number }[];
  /** Null without enough scored windows. */
  residuals: number | null;
  /** Windows that residuals are judged over. */
  windows: number;
}

export interface DriftOptions {
  statistics: FeatureStatistics | null;
  /** Of the signs of loads; null: they are not judged. */
  signs: FeatureStatistics | null;
  /** Share of the backtest's observations at or below each level. */
  coverage: readonly number[];
  stepMs: number;
  /** Span that one verdict is made over. */
  spanSteps: number;
}

/** Whether what a model is asked, and how it errs, still looks like its training. Pure; bounded memory. */
export class DriftMonitor {
  readonly #options: DriftOptions;
  readonly #layout: { offsets: number[]; length: number } | null;
  #buckets: { index: number; counts: Float64Array }[] = [];
  #firstIndex: number | null = null;
  readonly #signCounter: InputHistogram | null;
  #signs: Uint32Array[] = [];
  #residuals: { steps: number; covered: readonly number[] }[] = [];

  constructor(options: DriftOptions) {
    this.#options = options;
    this.#layout = options.statistics === null ? null : histogramLayout(options.statistics);
    this.#signCounter = options.signs === null ? null : new InputHistogram(options.signs, LOAD_SIGNS);
  }

  /** @param histogram counts of one forecast's inputs, as `histogramLayout` orders them @param atMs its origin */
  observeInputs(histogram: Uint32Array, atMs: number): void {
    if (this.#layout === null || histogram.length !== this.#layout.length) return;
    const { stepMs, spanSteps } = this.#options;
    const index = Math.floor(atMs / ((stepMs * spanSteps) / BUCKETS));
    this.#firstIndex ??= index;
    let bucket = this.#buckets.at(-1);
    if (bucket?.index !== index) {
      bucket = { index, counts: new Float64Array(this.#layout.length) };
      this.#buckets.push(bucket);
      // The newest bucket is being filled; a whole span lies in the BUCKETS before it.
      this.#buckets = this.#buckets.filter((one) => one.index >= index - BUCKETS && one.index <= index);
    }
    for (let i = 0; i < histogram.length; i++) bucket.counts[i]! += histogram[i]!;
  }

  /** @param signs of services, in the order of LOAD_SIGNS, row by row */
  observeSigns(signs: Float32Array): void {
    if (this.#signCounter === null || signs.length === 0) return;
    this.#signs.push(this.#signCounter.count(signs, LOAD_SIGNS.length, 1));
    if (this.#signs.length > SIGN_LOOKS) this.#signs.shift();
  }

  /** @param name of the model's own answers in the window */
  observeOutcome({ steps, losses }: ScoredWindow, name: string): void {
    const own = losses[name];
    if (own === undefined || own.covered.length !== this.#options.coverage.length) return;
    this.#residuals.push({ steps, covered: own.covered });
    if (this.#residuals.length > RESIDUAL_WINDOWS) this.#residuals.shift();
  }

  state(): DriftState {
    const inputs = this.#inputs();
    const signs = this.#signDivergences();
    const residuals = this.#residualDivergence();
    const windows = this.#residuals.length;
    const judged = this.#options.statistics !== null;
    if (inputs === null && residuals === null && signs.length === 0)
      return { verdict: judged ? "warming" : "off", text: null, inputs: [], signs, residuals, windows };
    const moved = (inputs ?? []).filter(({ divergence }) => divergence >= INPUT_MOVED);
    const share = moved.length / Math.max(1, inputs?.length ?? 0);
    const far = residuals ?? 0;
    const strange = signs.filter(({ divergence }) => divergence >= SIGN_WARN);
    const drifted = share >= DRIFTED_SHARE || far >= RESIDUAL_DRIFTED || (strange[0]?.divergence ?? 0) >= SIGN_DRIFTED;
    const warn = share >= WARN_SHARE || far >= RESIDUAL_WARN || strange.length > 0;
    const verdict = drifted ? "drifted" : warn ? "warn" : inputs === null && judged ? "warming" : "steady";
    const said: string[] = [];
    if (share >= WARN_SHARE) {
      const names = moved.slice(0, 3).map(({ name, divergence }) => `${name} ${divergence.toFixed(2)}`);
      said.push(`${moved.length} of ${inputs!.length} inputs are far from training (${names.join(", ")})`);
    }
    if (strange.length > 0) {
      const names = strange.map(({ name, divergence }) => `${name.replaceAll("_", " ")} ${divergence.toFixed(2)}`);
      said.push(`loads are beyond what training saw (${names.join(", ")})`);
    }
    if (far >= RESIDUAL_WARN) said.push(`errors are ${far.toFixed(2)} from the backtest over ${windows} windows`);
    return {
      verdict,
      text: said.length === 0 ? null : said.join("; "),
      inputs: inputs ?? [],
      signs,
      residuals,
      windows,
    };
  }

  #signDivergences(): DriftState["signs"] {
    const { signs } = this.#options;
    if (signs === null || this.#signs.length < MIN_SIGN_LOOKS) return [];
    const { offsets } = histogramLayout(signs);
    return signs.features
      .map(({ name, counts }, k) => {
        const sum = counts.map((_, i) => this.#signs.reduce((all, one) => all + one[offsets[k]! + i]!, 0));
        return { name, divergence: jensenShannon(sum, counts) };
      })
      .filter(({ divergence }) => Number.isFinite(divergence))
      .sort((a, b) => b.divergence - a.divergence);
  }

  /** Null before a whole span was seen. */
  #inputs(): { name: string; divergence: number }[] | null {
    const { statistics } = this.#options;
    const newest = this.#buckets.at(-1);
    if (statistics === null || this.#layout === null || newest === undefined || this.#firstIndex === null) return null;
    if (newest.index - this.#firstIndex < BUCKETS) return null;
    const whole = this.#buckets.filter(({ index }) => index < newest.index);
    const sum = new Float64Array(this.#layout.length);
    for (const { counts } of whole) for (let i = 0; i < sum.length; i++) sum[i]! += counts[i]!;
    const { offsets } = this.#layout;
    return statistics.features
      .map(({ name, counts, missing }, k) => {
        const served = sum.subarray(offsets[k]!, offsets[k]! + counts.length + 1);
        return { name, divergence: jensenShannon(served, [...counts, missing]) };
      })
      .filter(({ divergence }) => Number.isFinite(divergence))
      .sort((a, b) => b.divergence - a.divergence);
  }

  #residualDivergence(): number | null {
    const { coverage } = this.#options;
    if (this.#residuals.length < MIN_RESIDUAL_WINDOWS) return null;
    const steps = this.#residuals.reduce((sum, one) => sum + one.steps, 0);
    const covered = coverage.map((_, i) => this.#residuals.reduce((sum, one) => sum + one.covered[i]!, 0) / steps);
    return jensenShannon(sharesBetween(covered), sharesBetween(coverage));
  }
}

/** Shares of observations between neighbouring levels, below the lowest and above the highest. */
function sharesBetween(coverage: readonly number[]): number[] {
  const edges = [0, ...coverage, 1];
  return edges.slice(1).map((edge, i) => Math.max(0, edge - edges[i]!));
}
