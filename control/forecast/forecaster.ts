import { FeatureBuilder, fromTarget, MIN_HISTORY_STEPS, type OriginScale } from "../features/feature-builder.ts";
import type { LoadHistory } from "../features/load-history.ts";
import { FEATURE_HISTORY_STEPS, FEATURES, HORIZON_STEPS } from "../features/schema.ts";
import { SeriesWindow } from "../features/series-window.ts";
import { BASELINE_DAYS, fallThrough } from "./fallback-chain.ts";
import type { DemandForecast } from "./forecast.ts";
import { guardOutput } from "./guard.ts";
import { type Manifest, readModel } from "./manifest.ts";
import { ModelSession } from "./model-session.ts";
import { FallbackError, type FallbackReason } from "./reasons.ts";

/** The part of a pino logger that is used here. */
export interface ForecastLog {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
}

export interface ForecasterOptions {
  /** Folder with manifest.json and the model file; "" = no model is wanted. */
  modelDir: string;
  log: ForecastLog;
  /** Limit for one batch of inference, milliseconds. Default 2,000; sensible 100 … 10,000. */
  timeoutMs?: number;
  /** Limit for loading the model, milliseconds. Default 15,000. */
  loadTimeoutMs?: number;
  /** Ceiling of the inference worker's JavaScript heap, MiB. Default 64. */
  workerMemoryMb?: number;
  /** How long the model is left alone after three failures in a row, milliseconds. Default 60,000. */
  pauseMs?: number;
  /** Monotonic milliseconds. Default performance.now(). */
  monotonicMs?: () => number;
  /** The code of the inference worker. Default this room's. */
  workerUrl?: URL;
}

/** `model`: the whole chain. `baseline`: the chain without the model, for comparison. */
export type Chain = "model" | "baseline";

export interface ForecasterStatus {
  /** `ready`: the model answers. `paused`: failing, tried again later. `refused`: it may not answer; see `reason`. */
  model: "ready" | "paused" | "refused";
  reason: FallbackReason | null;
  modelDir: string;
  /** Of the model's file; null when refused before it could be read. */
  sha256: string | null;
  codeVersion: string | null;
  /** Since the start: batches that the model answered, and those that it did not. */
  answered: number;
  failed: number;
}

export interface Forecaster {
  /**
   * Demand of each service over the next steps, from the complete steps before `nowMs`. Never rejects because of the
   * model or the history: the chain model → seasonal naive → last → none answers, each fall with its reason.
   */
  forecast(
    history: LoadHistory,
    services: readonly string[],
    nowMs: number,
    options?: { chain?: Chain },
  ): Promise<Map<string, DemandForecast>>;
  status(): ForecasterStatus;
  close(): void;
}

/** Quantile levels when there is no model to say its own. */
export const DEFAULT_LEVELS: readonly number[] = [0.1, 0.5, 0.9, 0.99];

const MAX_SERVICES_PER_BATCH = 256;
const MAX_FAILURES = 3;

/** Reads, checks and starts the model. A model that may not answer is no error: `status()` says why. */
export async function openForecaster(options: ForecasterOptions): Promise<Forecaster> {
  const forecaster = new ChainForecaster(options);
  await forecaster.open();
  return forecaster;
}

class ChainForecaster implements Forecaster {
  readonly #options: Required<ForecasterOptions>;
  readonly #builder = new FeatureBuilder();
  #model: { manifest: Manifest; bytes: Uint8Array } | null = null;
  #session: ModelSession | null = null;
  #refusal: FallbackReason | null = null;
  #failures = 0;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  #answered = 0;
  #failed = 0;
  #closed = false;
  /** Calls run one after the other: the session takes one batch at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ForecasterOptions) {
    this.#options = {
      timeoutMs: 2_000,
      loadTimeoutMs: 15_000,
      workerMemoryMb: 64,
      pauseMs: 60_000,
      monotonicMs: () => performance.now(),
      workerUrl: new URL("./inference-worker.ts", import.meta.url),
      ...options,
    };
  }

  async open(): Promise<void> {
    const { log, modelDir } = this.#options;
    try {
      this.#model = await readModel(modelDir);
      await this.#openSession();
      log.info({ modelDir, sha256: this.#model.manifest.sha256 }, "forecast model ready");
    } catch (thrown) {
      if (!(thrown instanceof FallbackError)) throw thrown;
      this.#refusal = thrown.reason;
      log.warn({ modelDir, ...thrown.reason }, "forecast model refused; baselines answer");
    }
  }

  forecast(
    history: LoadHistory,
    services: readonly string[],
    nowMs: number,
    options: { chain?: Chain } = {},
  ): Promise<Map<string, DemandForecast>> {
    const turn = this.#turn.then(() => this.#forecast(history, services, nowMs, options.chain ?? "model"));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  status(): ForecasterStatus {
    const paused = this.#refusal === null && this.#session?.alive !== true;
    return {
      model: this.#refusal !== null ? "refused" : paused ? "paused" : "ready",
      reason: this.#refusal,
      modelDir: this.#options.modelDir,
      sha256: this.#model?.manifest.sha256 ?? null,
      codeVersion: this.#model?.manifest.code_version ?? null,
      answered: this.#answered,
      failed: this.#failed,
    };
  }

  close(): void {
    this.#closed = true;
    this.#session?.close();
    this.#session = null;
  }

  async #forecast(
    history: LoadHistory,
    services: readonly string[],
    nowMs: number,
    chain: Chain,
  ): Promise<Map<string, DemandForecast>> {
    const result = new Map<string, DemandForecast>();
    const stepsPerDay = Math.max(1, Math.round(86_400_000 / history.stepMs));
    const tailSteps = Math.max(FEATURE_HISTORY_STEPS, BASELINE_DAYS * stepsPerDay);
    const issuedAtMs = Math.floor(nowMs / history.stepMs) * history.stepMs;
    const levels = this.#model?.manifest.levels ?? DEFAULT_LEVELS;
    for (let from = 0; from < services.length; from += MAX_SERVICES_PER_BATCH) {
      const batch = services.slice(from, from + MAX_SERVICES_PER_BATCH);
      const tails = new Map(batch.map((service) => [service, history.tail(service, nowMs, tailSteps)]));
      const answers = await this.#askModel(tails, history.stepMs, issuedAtMs, chain);
      for (const [service, tail] of tails) {
        const answer = answers.get(service);
        if (answer === undefined) throw new Error(`no answer for ${service}`);
        result.set(service, fallThrough({ service, tail, stepMs: history.stepMs, issuedAtMs, levels, answer }));
      }
      // Other work of the process gets its turn between batches.
      if (from + MAX_SERVICES_PER_BATCH < services.length) await new Promise((resolve) => setImmediate(resolve));
    }
    return result;
  }

  /** Per service the model's values[level][step], or why there are none. */
  async #askModel(
    tails: ReadonlyMap<string, Float64Array>,
    stepMs: number,
    originMs: number,
    chain: Chain,
  ): Promise<Map<string, Float64Array[] | FallbackReason>> {
    const answers = new Map<string, Float64Array[] | FallbackReason>();
    const refuseAll = (reason: FallbackReason): typeof answers =>
      new Map([...tails.keys()].map((service) => [service, answers.get(service) ?? reason]));
    const model = this.#model;
    if (chain === "baseline") return refuseAll({ code: "MODEL_NOT_ASKED", text: "the baseline was asked for" });
    if (this.#refusal !== null) return refuseAll(this.#refusal);
    if (model === null) throw new Error("neither a model nor a refusal");
    if (stepMs !== model.manifest.step_ms) {
      return refuseAll({
        code: "STEP_MISMATCH",
        text: `the history has steps of ${stepMs} ms, the model of ${model.manifest.step_ms} ms`,
      });
    }
    const stride = HORIZON_STEPS * FEATURES.length;
    const rows = new Float32Array(tails.size * stride);
    const built: { service: string; scale: OriginScale }[] = [];
    for (const [service, tail] of tails) {
      const window = new SeriesWindow(tail.subarray(tail.length - FEATURE_HISTORY_STEPS));
      const scale = this.#builder.build(window, FEATURE_HISTORY_STEPS, originMs, rows, built.length * stride);
      if (scale === "short")
        answers.set(service, {
          code: "HISTORY_TOO_SHORT",
          text: `the model needs ${MIN_HISTORY_STEPS} steps of history`,
        });
      else if (scale === "stale")
        answers.set(service, { code: "HISTORY_STALE", text: "no load was seen in the last hour" });
      else built.push({ service, scale });
    }
    if (built.length === 0) return answers;
    try {
      const outputs = await this.#infer(rows.slice(0, built.length * stride));
      const levels = model.manifest.levels.length;
      built.forEach(({ service, scale }, i) => {
        const values = Array.from({ length: levels }, (_, level) =>
          Float64Array.from({ length: HORIZON_STEPS }, (_, h) =>
            fromTarget(outputs[(i * HORIZON_STEPS + h) * levels + level]!, scale),
          ),
        );
        const fault = guardOutput(values, highest(tails.get(service)!));
        answers.set(
          service,
          fault === null ? values : { code: "OUTPUT_GUARD", text: `the model's output was refused: ${fault}` },
        );
      });
      return answers;
    } catch (thrown) {
      if (!(thrown instanceof FallbackError)) throw thrown;
      return refuseAll(thrown.reason);
    }
  }

  async #infer(rows: Float32Array<ArrayBuffer>): Promise<Float32Array> {
    const { log, monotonicMs, pauseMs } = this.#options;
    if (this.#closed) throw new FallbackError("INFERENCE_FAILED", "the forecaster was closed");
    if (monotonicMs() < this.#pausedUntilMs)
      throw new FallbackError(
        "MODEL_PAUSED",
        `the model failed ${MAX_FAILURES} times in a row and is tried again later`,
      );
    try {
      if (this.#session?.alive !== true) await this.#openSession();
      const session = this.#session;
      if (session === null) throw new FallbackError("INFERENCE_FAILED", "the forecaster was closed");
      const outputs = await session.run(rows);
      this.#answered++;
      this.#failures = 0;
      return outputs;
    } catch (thrown) {
      if (!(thrown instanceof FallbackError)) throw thrown;
      this.#failed++;
      this.#failures++;
      if (this.#failures >= MAX_FAILURES) {
        this.#failures = 0;
        this.#pausedUntilMs = monotonicMs() + pauseMs;
      }
      log.warn({ ...thrown.reason }, "the forecast model did not answer; baselines do");
      throw thrown;
    }
  }

  async #openSession(): Promise<void> {
    const model = this.#model;
    if (model === null) throw new Error("no model to open");
    const { loadTimeoutMs, timeoutMs, workerMemoryMb, workerUrl } = this.#options;
    const shape = { features: FEATURES.length, outputs: model.manifest.levels.length };
    const session = await ModelSession.open({
      bytes: model.bytes,
      ...shape,
      loadTimeoutMs,
      timeoutMs,
      workerMemoryMb,
      workerUrl,
    });
    if (this.#closed) session.close();
    else this.#session = session;
  }
}

function highest(values: Float64Array): number {
  let max = 0;
  for (const value of values) if (value > max) max = value;
  return max;
}
