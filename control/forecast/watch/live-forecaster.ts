import { LoopTurns } from "../../../common/loop-turns.ts";
import { signReach, signsAt } from "../../features/series/load-signs.ts";
import type { LoadHistory } from "../../ingest/load-history.ts";
import { seasonalNaive } from "../fallback-baselines.ts";
import type { DemandForecast } from "../forecast.ts";
import {
  ChainForecaster,
  type ForecastCall,
  type Forecaster,
  type ForecasterOptions,
  type ForecasterStatus,
  type ModelAnswers,
  openEngine,
} from "../forecaster.ts";
import type { EngineOptions, ModelEngine } from "../model/model-engine.ts";
import { Quantiles } from "../quantiles.ts";
import type { FallbackReason } from "../reasons.ts";
import { seasonalScale } from "../scores/metrics.ts";
import { DriftMonitor, type DriftState } from "./drift-monitor.ts";
import { FailureWatch } from "./failure-watch.ts";
import { type NotedService, OutcomeBook } from "./outcomes.ts";
import { type BoardState, type Comparison, FORECASTER, type PromotionRules, ShadowBoard } from "./shadow-board.ts";

/** What is done when the model has drifted: nothing is looked at, it is told, or the fall-back answers until it looks like training again. */
export type DriftPolicy = "off" | "warn" | "fallback";

export interface LiveForecasterOptions extends ForecasterOptions {
  drift: DriftPolicy;
  /** Called after each window in which a candidate was scored, with what is to be kept. */
  onScored?: (state: BoardState) => void;
}

/** Services whose outcomes are scored: each costs two baselines a window, and more of them say little more about a model. */
const MAX_SCORED_SERVICES = 64;
const SCALE_DAYS = 14;

export interface LiveStatus extends ForecasterStatus {
  drift: DriftState & { policy: DriftPolicy };
  /** The candidate that forecasts beside the active model; null without one. */
  shadow: { sha256: string; kind: string; folder: string; failed: number } | null;
}

/**
 * The forecaster of a running server: the chain around the active model, a drift monitor, and a candidate that forecasts beside it. What is
 * scored never delays or changes an answer: it is worked on after it, one window at a time.
 */
export class LiveForecaster implements Forecaster {
  readonly #options: LiveForecasterOptions;
  readonly #chain: ChainForecaster;
  readonly #book = new OutcomeBook();
  #drift: DriftMonitor | null = null;
  #candidate: ModelEngine | null = null;
  #board: ShadowBoard | null = null;
  #seen: ModelAnswers | null = null;
  readonly #failures = new FailureWatch();
  #after: Promise<void> | null = null;
  #closed = false;

  private constructor(options: LiveForecasterOptions) {
    this.#options = options;
    this.#chain = new ChainForecaster(options.modelDir, { seen: (answers) => this.#watch(answers) });
  }

  static async open(options: LiveForecasterOptions): Promise<LiveForecaster> {
    const live = new LiveForecaster(options);
    await live.#activate(options.modelDir, true);
    return live;
  }

  async forecast(
    history: LoadHistory,
    services: readonly string[],
    nowMs: number,
    options: ForecastCall = {},
  ): Promise<ReadonlyMap<string, DemandForecast>> {
    const forecasts = await this.#chain.forecast(history, services, nowMs, options);
    const issuedAtMs = forecasts.values().next().value?.issuedAtMs;
    const seen = this.#seen?.issuedAtMs === issuedAtMs ? this.#seen : null;
    this.#seen = null;
    // One at a time: when the windows before are still worked on, this origin is not noted.
    if (options.chain !== "baseline" && this.#after === null && !this.#closed) {
      this.#after = this.#score(history, services, nowMs, forecasts, seen)
        .catch((error: Error) => this.#options.log.warn({ err: error }, "forecasts could not be scored"))
        .finally(() => {
          this.#after = null;
        });
    }
    return forecasts;
  }

  status(): LiveStatus {
    const drift = this.#drift?.state() ?? NO_DRIFT;
    const candidate = this.#candidate;
    return {
      ...this.#chain.status(),
      drift: { ...drift, policy: this.#options.drift },
      shadow:
        candidate === null
          ? null
          : {
              sha256: candidate.model.sha256,
              kind: candidate.model.kind,
              folder: candidate.model.folder,
              failed: candidate.counts.failed,
            },
    };
  }

  /** How the active model fails to answer, as a sentence; null while it answers, or a single time. */
  get failing(): string | null {
    return this.#failures.text;
  }

  /** Scores of the candidate so far; null without one. */
  comparison(rules: PromotionRules): Comparison | null {
    return this.#board?.comparison(rules) ?? null;
  }

  /**
   * The model of a folder becomes the active one; scores of a candidate begin anew, since they are against what steers.
   * @param orNone when it may not answer, baselines do; else the former model stays in place
   * @returns why it was refused; null when it answers from now on
   */
  async activate(folder: string, orNone = false): Promise<FallbackReason | null> {
    const reason = await this.#activate(folder, orNone);
    if ((reason === null || orNone) && this.#candidate !== null) this.#newBoard(this.#candidate, null);
    return reason;
  }

  /** Lets the model of a folder forecast beside the active one. @param kept what was written down of its scores */
  async shadow(folder: string, kept: unknown = null): Promise<FallbackReason | null> {
    // The record of inputs is that of the model that steers: two would write one file.
    const options = { ...this.#engineOptions(), servedDir: null };
    const opened = await openEngine({ ...options, modelDir: folder, log: this.#options.log });
    if (opened.engine === null) return opened.reason;
    this.retire();
    this.#candidate = opened.engine;
    this.#newBoard(opened.engine, kept);
    return null;
  }

  /** Ends the candidate's part. */
  retire(): void {
    this.#candidate?.close();
    this.#candidate = null;
    this.#board = null;
    this.#book.clear();
  }

  /** Resolves when nothing is being scored; for tests and the end. */
  async settled(): Promise<void> {
    await this.#after;
  }

  close(): void {
    this.#closed = true;
    this.#chain.close();
    this.#candidate?.close();
  }

  async #activate(folder: string, orNone: boolean): Promise<FallbackReason | null> {
    const { log } = this.#options;
    const opened = await openEngine({ ...this.#engineOptions(), modelDir: folder, log });
    if (opened.engine === null) {
      if (orNone) {
        this.#chain.refuse(opened.model, opened.reason);
        this.#drift = null;
        this.#book.clear();
      }
      return opened.reason;
    }
    this.#failures.clear();
    const { statistics, signs, coverage, stepMs, driftSpanSteps: spanSteps } = opened.model;
    this.#drift =
      this.#options.drift === "off"
        ? null
        : new DriftMonitor({ statistics, signs: signs?.statistics ?? null, coverage, stepMs, spanSteps });
    this.#book.clear();
    this.#chain.use(opened.engine);
    return null;
  }

  #engineOptions(): Partial<EngineOptions> {
    const { modelDir: _dir, log: _log, drift: _drift, onScored: _onScored, ...engine } = this.#options;
    return engine;
  }

  #newBoard(candidate: ModelEngine, kept: unknown): void {
    const active = this.#chain.model;
    const levels = active?.levels ?? candidate.model.levels;
    const fresh = new ShadowBoard(candidate.model.sha256, active?.sha256 ?? null, {
      [FORECASTER.active]: levels,
      [FORECASTER.candidate]: candidate.model.levels,
      [FORECASTER.seasonalNaive]: levels,
    });
    this.#board = (kept === null ? null : ShadowBoard.restore(kept, fresh)) ?? fresh;
    this.#book.clear();
  }

  #watch(seen: ModelAnswers): FallbackReason | null {
    this.#seen = seen;
    this.#failures.observe(seen.answer);
    if (this.#drift === null) return null;
    if (seen.histogram !== null) this.#drift.observeInputs(seen.histogram, seen.issuedAtMs);
    if (this.#options.drift !== "fallback") return null;
    const { verdict, text } = this.#drift.state();
    return verdict === "drifted" ? { code: "MODEL_DRIFTED", text: text ?? "the model has drifted" } : null;
  }

  /** Shows the drift monitor how the loads are themselves, once per window. */
  async #lookAtLoads(history: LoadHistory, sample: readonly string[], issuedAtMs: number): Promise<void> {
    const signs = this.#chain.model?.signs ?? null;
    const drift = this.#drift;
    if (signs === null || drift === null || history.stepMs !== this.#chain.model?.stepMs) return;
    const rows: number[] = [];
    const turns = new LoopTurns();
    for (const service of sample) {
      const past = history.tail(service, issuedAtMs, signReach(signs.season));
      rows.push(...signsAt(past, past.length, signs.season));
      if (turns.isOver) await turns.next();
    }
    drift.observeSigns(Float32Array.from(rows));
  }

  async #score(
    history: LoadHistory,
    services: readonly string[],
    nowMs: number,
    forecasts: ReadonlyMap<string, DemandForecast>,
    seen: ModelAnswers | null,
  ): Promise<void> {
    const board = this.#board;
    for (const window of this.#book.due(history, nowMs)) {
      this.#drift?.observeOutcome(window, FORECASTER.model);
      if (board === null || window.losses[FORECASTER.candidate] === undefined) continue;
      board.add(window);
      this.#options.onScored?.(board.state());
    }
    const first = forecasts.values().next().value;
    const horizonSteps = first?.values.steps ?? 0;
    if (first === undefined || horizonSteps === 0 || !this.#book.wants(first.issuedAtMs)) return;
    const { issuedAtMs, stepMs, levels } = first;
    const sample = sampleOf(services);
    await this.#lookAtLoads(history, sample, issuedAtMs);
    const candidate = this.#candidate;
    const said = candidate === null ? null : (await candidate.answer(history, sample, nowMs)).answer;
    if (said !== null && board === this.#board) board?.heard(said.index.names.map((_, place) => said.reasonAt(place)));
    const noted: NotedService[] = [];
    const stepsPerDay = Math.max(1, Math.round(86_400_000 / stepMs));
    const turns = new LoopTurns();
    for (const service of sample) {
      const tail = history.tail(service, issuedAtMs, SCALE_DAYS * stepsPerDay);
      const scale = seasonalScale(tail, stepsPerDay);
      const own = seen?.answer.get(service);
      const other = said?.get(service);
      const naive = [7, 1]
        .map((days) => seasonalNaive(tail, days * stepsPerDay, horizonSteps, levels, stepsPerDay))
        .find((values) => typeof values !== "string");
      if (scale > 0 && naive !== undefined && typeof naive !== "string")
        noted.push({
          service,
          scale,
          said: {
            [FORECASTER.active]: forecasts.get(service)!.values.rows(),
            [FORECASTER.seasonalNaive]: naive,
            ...(own instanceof Quantiles ? { [FORECASTER.model]: own.rows() } : {}),
            ...(other instanceof Quantiles && other.steps === horizonSteps
              ? { [FORECASTER.candidate]: other.rows() }
              : {}),
          },
        });
      if (turns.isOver) await turns.next();
    }
    // The model or the candidate may have been exchanged meanwhile: what it said is nobody's.
    if (board !== this.#board || noted.length === 0) return;
    const inAll = (name: string): boolean => noted.some(({ said: one }) => one[name] !== undefined);
    const modelLevels = seen?.engine.model.levels;
    this.#book.note({
      atMs: issuedAtMs,
      stepMs,
      horizonSteps,
      levels: {
        [FORECASTER.active]: levels,
        [FORECASTER.seasonalNaive]: levels,
        ...(modelLevels !== undefined && inAll(FORECASTER.model) ? { [FORECASTER.model]: modelLevels } : {}),
        ...(candidate !== null && inAll(FORECASTER.candidate)
          ? { [FORECASTER.candidate]: candidate.model.levels }
          : {}),
      },
      services: noted,
    });
  }
}

const NO_DRIFT: DriftState = { verdict: "off", text: null, inputs: [], signs: [], residuals: null, windows: 0 };

/** The same services at every window, spread over all names. */
function sampleOf(services: readonly string[]): string[] {
  const sorted = [...services].sort();
  const every = Math.max(1, Math.ceil(sorted.length / MAX_SCORED_SERVICES));
  return sorted.filter((_, i) => i % every === 0);
}
