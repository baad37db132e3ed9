import { z } from "zod";
import type { ChangeOutcome } from "../../features/risk/known-changes.ts";
import { brierScore, type Judged, prAuc } from "../scores/risk-metrics.ts";

/** What was said of one change and target before the change began, and what became of it. */
const caseSchema = z.object({
  /** sys_id of the change, and the target's name. */
  change: z.string().max(64),
  target: z.string().max(128),
  startMs: z.number(),
  endMs: z.number(),
  /** First hex digits of the model that steered, and what it said; null where a link below it answered. */
  active: z.string().max(16).nullable(),
  answered: z.number().min(0).max(1),
  candidate: z.string().max(16).nullable(),
  shadow: z.number().min(0).max(1).nullable(),
  rule: z.number().min(0).max(1),
  baseRate: z.number().min(0).max(1),
});
export type RiskForecast = z.infer<typeof caseSchema>;

const scoredSchema = caseSchema.extend({ degraded: z.boolean(), unsuccessful: z.boolean() });
export type ScoredRisk = z.infer<typeof scoredSchema>;

/** Of each, so that a written board has under half a megabyte. */
const MAX_CASES = 800;
const boardSchema = z.object({
  layout: z.literal(1),
  open: z.array(caseSchema).max(MAX_CASES),
  scored: z.array(scoredSchema).max(MAX_CASES),
});

/** A change whose end is not written down by so long after it is given up. */
const GIVE_UP_MS = 60 * 86_400_000;

export interface RiskRules {
  /** Cases that must be scored before a candidate may be proposed. */
  minCases: number;
  /** Share by which its Brier score must be lower than that of what steers, 0 … 1. */
  margin: number;
}

export interface RiskScores {
  brier: number;
  prAuc: number;
}

export interface RiskComparison {
  cases: number;
  degraded: number;
  /** Changes that were closed unsuccessful, whatever became of the targets. */
  unsuccessful: number;
  active: RiskScores;
  candidate: RiskScores;
  rule: RiskScores;
  baseRate: RiskScores;
  /** Brier score of what steers less the candidate's over its standard error, changes taken as independent. */
  z: number;
  missing: string[];
}

export interface RiskDrift {
  verdict: "off" | "warming" | "steady" | "warn" | "drifted";
  text: string | null;
  cases: number;
  /** Sum of what was said, and of what happened. */
  expected: number;
  happened: number;
  brier: number | null;
  baseRateBrier: number | null;
}

/** One-sided 90 %: below it the difference may as well be chance. */
const MIN_Z = 1.28;
/** Cases and degraded targets before drift is judged; below them a few incidents make any verdict. */
const DRIFT_CASES = 100;
const DRIFT_HAPPENED = 5;
const DRIFT_WINDOW = 400;
const WARN_Z = 2;
const DRIFTED_Z = 3;

/**
 * Forecasts of risk beside what happened: the last one before each change's start stands. Pure; bounded at MAX_CASES open and
 * scored ones, of which the oldest fall out.
 */
export class RiskBoard {
  #open = new Map<string, RiskForecast>();
  #scored: ScoredRisk[] = [];

  /** A board that was written down; an empty one when it cannot be read. */
  static restore(state: unknown): RiskBoard {
    const board = new RiskBoard();
    const read = boardSchema.safeParse(state);
    if (!read.success) return board;
    for (const one of read.data.open) board.#open.set(keyOf(one), one);
    board.#scored = read.data.scored;
    return board;
  }

  state(): z.infer<typeof boardSchema> {
    return { layout: 1, open: [...this.#open.values()], scored: this.#scored };
  }

  get open(): number {
    return this.#open.size;
  }

  /** Of changes that have not begun; one that is not noted by then is never scored. */
  note(forecasts: readonly RiskForecast[], nowMs: number): void {
    for (const one of forecasts) if (one.startMs > nowMs) this.#open.set(keyOf(one), one);
    if (this.#open.size <= MAX_CASES) return;
    // Those that begin last are noted again.
    const soonest = [...this.#open].sort(([, a], [, b]) => a.startMs - b.startMs);
    this.#open = new Map(soonest.slice(0, MAX_CASES));
  }

  /** Scores what is known by now; how many were. */
  settle(outcomeOf: (one: RiskForecast) => ChangeOutcome, nowMs: number): number {
    let settled = 0;
    for (const [key, one] of this.#open) {
      if (one.endMs > nowMs) continue;
      const outcome = outcomeOf(one);
      if (outcome.is === "waiting" && nowMs < one.endMs + GIVE_UP_MS) continue;
      this.#open.delete(key);
      if (!("unsuccessful" in outcome)) continue;
      settled += 1;
      const { is, unsuccessful } = outcome;
      this.#scored.push({ ...one, degraded: is === "degraded", unsuccessful });
    }
    this.#scored = this.#scored.slice(-MAX_CASES);
    return settled;
  }

  /** Over the cases of which both these models spoke. */
  comparison(active: string | null, candidate: string, { minCases, margin }: RiskRules): RiskComparison {
    const both = this.#scored.filter(
      (one) => one.active === active && one.candidate === candidate && one.shadow !== null,
    );
    const scoresOf = (of: (one: ScoredRisk) => number): RiskScores => {
      const judged = both.map((one): Judged => ({ probability: of(one), happened: one.degraded }));
      return { brier: brierScore(judged), prAuc: prAuc(judged) };
    };
    const scores = {
      active: scoresOf((one) => one.answered),
      candidate: scoresOf((one) => one.shadow!),
      rule: scoresOf((one) => one.rule),
      baseRate: scoresOf((one) => one.baseRate),
    };
    const lead = byChange(both, (one) => (one.answered - happened(one)) ** 2 - (one.shadow! - happened(one)) ** 2);
    const z = zScore(lead);
    const degraded = both.filter((one) => one.degraded).length;
    const missing: string[] = [];
    if (both.length < minCases) missing.push(`${both.length} changes and targets are scored, ${minCases} are needed`);
    if (both.length > 0) {
      const { brier } = scores.candidate;
      // Negated, so that a NaN is not taken for better.
      if (!(brier < scores.active.brier * (1 - margin)))
        missing.push(
          `its Brier score of ${round(brier)} is not ${Number((100 * margin).toFixed(2))} % below ${round(scores.active.brier)}, that of what steers`,
        );
      else if (!(z > MIN_Z)) missing.push(`its lead of ${round(z)} standard errors may be chance, ${MIN_Z} are needed`);
      if (!(brier < scores.baseRate.brier))
        missing.push(`it does not beat the base rate (${round(brier)} to ${round(scores.baseRate.brier)})`);
    }
    const unsuccessful = new Set(both.filter((one) => one.unsuccessful).map(({ change }) => change)).size;
    return { cases: both.length, degraded, unsuccessful, ...scores, z, missing };
  }

  /** Whether the model that steers still means what it says: expected against happened over its newest cases. */
  drift(active: string | null): RiskDrift {
    const own = active === null ? [] : this.#scored.filter((one) => one.active === active).slice(-DRIFT_WINDOW);
    const judged = own.map((one): Judged => ({ probability: one.answered, happened: one.degraded }));
    const expected = own.reduce((sum, one) => sum + one.answered, 0);
    const count = own.filter((one) => one.degraded).length;
    const brier = own.length === 0 ? null : brierScore(judged);
    const baseRateBrier =
      own.length === 0 ? null : brierScore(own.map((one) => ({ probability: one.baseRate, happened: one.degraded })));
    const facts = { cases: own.length, expected, happened: count, brier, baseRateBrier };
    if (active === null) return { verdict: "off", text: null, ...facts };
    if (own.length < DRIFT_CASES || Math.max(expected, count) < DRIFT_HAPPENED)
      return { verdict: "warming", text: null, ...facts };
    const z = zScore(byChange(own, (one) => happened(one) - one.answered));
    const far = `${count} targets degraded where ${round(expected)} were expected of ${own.length} (${round(z)} standard errors)`;
    if (Math.abs(z) > DRIFTED_Z) return { verdict: "drifted", text: far, ...facts };
    if (Math.abs(z) > WARN_Z) return { verdict: "warn", text: far, ...facts };
    if (brier! > baseRateBrier!) {
      const text = `its Brier score of ${round(brier!)} over ${own.length} cases is behind the base rate's ${round(baseRateBrier!)}`;
      return { verdict: "warn", text, ...facts };
    }
    return { verdict: "steady", text: null, ...facts };
  }
}

function keyOf({ change, target }: RiskForecast): string {
  return `${change} ${target}`;
}

function happened({ degraded }: ScoredRisk): number {
  return Number(degraded);
}

/** Sums per change: the targets of one change degrade together, so that they are one observation and not many. */
function byChange(cases: readonly ScoredRisk[], of: (one: ScoredRisk) => number): number[] {
  const sums = new Map<string, number>();
  for (const one of cases) sums.set(one.change, (sums.get(one.change) ?? 0) + of(one));
  return [...sums.values()];
}

/** Σd ÷ √Σd²: standard normal for many independent d of mean 0. 0 when all are 0. */
function zScore(differences: readonly number[]): number {
  const square = differences.reduce((sum, d) => sum + d * d, 0);
  return square === 0 ? 0 : differences.reduce((sum, d) => sum + d, 0) / Math.sqrt(square);
}

function round(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "nothing";
}
