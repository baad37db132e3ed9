import { z } from "zod";
import { type FallbackReason, isFault } from "../reasons.ts";
import { type ScoredWindow, summarise, type WindowScores } from "./outcomes.ts";

/** Names of the forecasters in a scored window. */
export const FORECASTER = {
  /** Whatever the chain answered: what the plans were made from. */
  active: "active",
  /** The active model's own answers, also while a fall-back is used. */
  model: "model",
  candidate: "candidate",
  seasonalNaive: "seasonal_naive",
} as const;

/** When a candidate may be proposed. */
export interface PromotionRules {
  /** Scored windows of one horizon each. */
  minWindows: number;
  /** Share by which its wQL must be lower than that of what steers, 0 … 1. */
  margin: number;
}

/** Two weeks of windows of an hour. */
const MAX_WINDOWS = 336;
/** Share of the questions that a candidate may fail to answer: where it fails it is not scored, and those may be the hard ones. */
const MAX_FAILED = 0.05;

/** How often a candidate was asked for a service's forecast, and how often it gave none, by its own fault or not. */
export interface Asked {
  asked: number;
  failed: number;
  unanswered: number;
  /** Of the newest one that was not answered; null when each was. */
  reason: string | null;
}

export interface Comparison {
  windows: number;
  asked: Asked;
  active: WindowScores;
  candidate: WindowScores;
  seasonalNaive: WindowScores;
  /** Windows in which the candidate lost less than what steers. */
  won: number;
  /** Why it may not be proposed, one sentence each; empty when it may. */
  missing: string[];
}

const loss = z.object({
  pinball: z.array(z.number()),
  covered: z.array(z.number()),
  absolute: z.number(),
  scaled: z.number(),
});
const boardSchema = z.object({
  version: z.literal(1),
  candidate: z.string(),
  active: z.string().nullable(),
  levels: z.record(z.string(), z.array(z.number())),
  windows: z
    .array(
      z.object({
        atMs: z.number(),
        steps: z.number().int().positive(),
        load: z.number(),
        losses: z.record(z.string(), loss),
      }),
    )
    .max(MAX_WINDOWS),
  asked: z
    .object({
      asked: z.number().int().nonnegative(),
      failed: z.number().int().nonnegative(),
      unanswered: z.number().int().nonnegative(),
      reason: z.string().nullable(),
    })
    .optional(),
});
export type BoardState = z.infer<typeof boardSchema>;

/**
 * How a candidate does beside what steers, window by window, both scored on the same steps. Pure; at most MAX_WINDOWS windows, the oldest fall out.
 */
export class ShadowBoard {
  readonly candidate: string;
  readonly active: string | null;
  readonly #levels: Record<string, readonly number[]>;
  #windows: ScoredWindow[] = [];
  #asked: Asked = { asked: 0, failed: 0, unanswered: 0, reason: null };

  /** @param candidate, active sha256 of the models @param levels per FORECASTER */
  constructor(candidate: string, active: string | null, levels: Record<string, readonly number[]>) {
    this.candidate = candidate;
    this.active = active;
    this.#levels = levels;
  }

  /** A board that was written down; null when it is of other models or cannot be read. */
  static restore(state: unknown, like: ShadowBoard): ShadowBoard | null {
    const parsed = boardSchema.safeParse(state);
    if (!parsed.success) return null;
    const { candidate, active, levels, windows, asked } = parsed.data;
    const fits =
      candidate === like.candidate && active === like.active && JSON.stringify(levels) === JSON.stringify(like.#levels);
    const sized = windows.every(({ losses }) =>
      Object.entries(levels).every(
        ([name, own]) => losses[name]?.pinball.length === own.length && losses[name].covered.length === own.length,
      ),
    );
    if (!fits || !sized) return null;
    const board = new ShadowBoard(candidate, active, levels);
    board.#windows = windows;
    if (asked !== undefined) board.#asked = asked;
    return board;
  }

  state(): BoardState {
    const levels = Object.fromEntries(Object.entries(this.#levels).map(([name, own]) => [name, [...own]]));
    return {
      version: 1,
      candidate: this.candidate,
      active: this.active,
      levels,
      windows: this.#windows,
      asked: this.#asked,
    };
  }

  /** Counts what the candidate said at one origin: an answer or why there is none, per service. */
  heard(answers: Iterable<FallbackReason | null>): void {
    const all = { ...this.#asked };
    for (const answer of answers) {
      all.asked++;
      if (answer === null) continue;
      all.unanswered++;
      if (isFault(answer)) all.failed++;
      all.reason = `${answer.code}: ${answer.text}`;
    }
    this.#asked = all;
  }

  add(window: ScoredWindow): void {
    if (Object.keys(this.#levels).some((name) => window.losses[name] === undefined)) return;
    const losses = Object.fromEntries(Object.keys(this.#levels).map((name) => [name, window.losses[name]!]));
    this.#windows.push({ ...window, losses });
    if (this.#windows.length > MAX_WINDOWS) this.#windows.shift();
  }

  comparison({ minWindows, margin }: PromotionRules): Comparison {
    const common = this.#common();
    const of = (name: string) => summarise(this.#windows, name, this.#levels[name]!, common);
    const active = of(FORECASTER.active);
    const candidate = of(FORECASTER.candidate);
    const seasonalNaive = of(FORECASTER.seasonalNaive);
    const lossOf = (window: ScoredWindow, name: string): number =>
      this.#levels[name]!.reduce(
        (sum, level, i) => sum + (common.includes(level) ? window.losses[name]!.pinball[i]! : 0),
        0,
      );
    const won = this.#windows.filter(
      (window) => lossOf(window, FORECASTER.candidate) < lossOf(window, FORECASTER.active),
    ).length;
    const missing: string[] = [];
    const windows = this.#windows.length;
    if (windows < minWindows) missing.push(`${windows} windows are scored, ${minWindows} are needed`);
    // Negated, so that a NaN is not taken for better.
    if (windows > 0 && !(candidate.wql < active.wql * (1 - margin)))
      missing.push(
        `its wQL of ${round(candidate.wql)} is not ${percent(margin)} below ${round(active.wql)}, that of what steers`,
      );
    if (windows > 0 && !(candidate.mase < seasonalNaive.mase && candidate.wql < seasonalNaive.wql))
      missing.push(
        `it does not beat seasonal naive (MASE ${round(candidate.mase)} to ${round(seasonalNaive.mase)}, wQL ${round(candidate.wql)} to ${round(seasonalNaive.wql)})`,
      );
    const { asked, failed, reason } = this.#asked;
    if (failed > MAX_FAILED * asked)
      missing.push(
        `it failed to answer ${failed} of ${asked} times, at most ${percent(MAX_FAILED)} are allowed (${reason})`,
      );
    return { windows, asked: this.#asked, active, candidate, seasonalNaive, won, missing };
  }

  /** Levels that all of them have. */
  #common(): number[] {
    const [first, ...others] = Object.values(this.#levels);
    return (first ?? []).filter((level) => others.every((own) => own.includes(level)));
  }
}

function round(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "nothing";
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(2))} %`;
}
