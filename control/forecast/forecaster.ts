import { LoopTurns } from "../../common/loop-turns.ts";
import { HORIZON_STEPS } from "../features/schema.ts";
import type { LoadHistory } from "../ingest/load-history.ts";
import { type FallThroughInput, fallThrough, lastReading } from "./fallback-chain.ts";
import { FleetForecast } from "./fleet-forecast.ts";
import type { DemandForecast } from "./forecast.ts";
import type { FleetAnswer } from "./model/fleet-answer.ts";
import { type EngineAnswer, type EngineOptions, ModelEngine } from "./model/model-engine.ts";
import { readServedModel, type ServedModel } from "./model/served-model.ts";
import { FallbackError, type FallbackReason } from "./reasons.ts";

/** The part of a pino logger that is used here. */
export interface ForecastLog {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
}

export interface ForecasterOptions extends Partial<EngineOptions> {
  /** Folder with manifest.json and the model file; "" = no model is wanted. */
  modelDir: string;
  log: ForecastLog;
}

/** `model`: the whole chain. `baseline`: the chain without the model, for comparison. */
export type Chain = "model" | "baseline";

export interface ForecastCall {
  /** Default `model`. */
  chain?: Chain;
  /** Default: nobody is told anything before the answer. */
  meanwhile?: Meanwhile;
}

/** Who has no forecast and cannot wait for a model that takes long, as it does for thousands of services when they are asked for first. */
export interface Meanwhile {
  services: readonly string[];
  /** Time that the model has before others stand in, milliseconds. Default 500. */
  afterMs?: number;
  /** Called with the rest of the chain, MODEL_WARMING its first reason, service by service, until the model has answered. */
  tell(forecast: DemandForecast): void;
}

export interface ForecasterStatus {
  /** `ready`: the model answers. `paused`: failing, tried again later. `refused`: it may not answer; see `reason`. */
  model: "ready" | "paused" | "refused";
  reason: FallbackReason | null;
  modelDir: string;
  /** `demand` (trees) or `series` (of the training pipeline); null when refused before it could be read. */
  kind: ServedModel["kind"] | null;
  /** Of the model's file; null when refused before it could be read. */
  sha256: string | null;
  codeVersion: string | null;
  /** Batches that the model answered since the start, and those that it did not. */
  answered: number;
  failed: number;
}

export interface Forecaster {
  /**
   * Demand of each service over the next steps, from the complete steps before `nowMs`. Never rejects because of the model or the history:
   * the chain model → seasonal naive or theta → last → none answers, each fall with its reason. Holds the event loop for a few milliseconds
   * at a time, however many services there are.
   */
  forecast(
    history: LoadHistory,
    services: readonly string[],
    nowMs: number,
    options?: ForecastCall,
  ): Promise<ReadonlyMap<string, DemandForecast>>;
  status(): ForecasterStatus;
  close(): void;
}

/** Quantile levels when there is no model to say its own. */
export const DEFAULT_LEVELS: readonly number[] = [0.1, 0.5, 0.9, 0.99];

/** Reads, checks and starts the model. A model that may not answer is no error: `status()` says why. */
export async function openForecaster(options: ForecasterOptions): Promise<Forecaster> {
  const forecaster = new ChainForecaster(options.modelDir);
  const opened = await openEngine(options);
  if (opened.engine === null) forecaster.refuse(opened.model, opened.reason);
  else forecaster.use(opened.engine);
  return forecaster;
}

/** What became of an attempt to serve a folder's model. */
export type OpenedEngine =
  | { engine: ModelEngine; model: ServedModel; reason: null }
  | { engine: null; model: ServedModel | null; reason: FallbackReason };

export async function openEngine({ modelDir, log, ...engine }: ForecasterOptions): Promise<OpenedEngine> {
  let model: ServedModel | null = null;
  try {
    model = await readServedModel(modelDir, engine.world);
    const opened = await ModelEngine.open(model, engine);
    log.info({ modelDir, kind: model.kind, sha256: model.sha256 }, "forecast model ready");
    return { engine: opened, model, reason: null };
  } catch (thrown) {
    if (!(thrown instanceof FallbackError)) throw thrown;
    log.warn({ modelDir, ...thrown.reason }, "forecast model refused; baselines answer");
    return { engine: null, model, reason: thrown.reason };
  }
}

/** The chain around one model, which may be exchanged between two calls. */
export class ChainForecaster implements Forecaster {
  #modelDir: string;
  #engine: ModelEngine | null = null;
  #model: ServedModel | null = null;
  #refusal: FallbackReason | null = null;
  /** Calls run one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Sees every answer of the model itself before the chain does, and may withhold the model. */
  readonly #watch: ModelWatch | null;

  constructor(modelDir: string, watch: ModelWatch | null = null) {
    this.#modelDir = modelDir;
    this.#watch = watch;
  }

  /** From the next call on; the model before it is closed. */
  use(engine: ModelEngine): void {
    const before = this.#engine;
    this.#engine = engine;
    this.#model = engine.model;
    this.#modelDir = engine.model.folder;
    this.#refusal = null;
    this.#turn = this.#turn.then(() => before?.close());
  }

  /** No model from the next call on. */
  refuse(model: ServedModel | null, reason: FallbackReason): void {
    const before = this.#engine;
    this.#engine = null;
    this.#model = model;
    this.#refusal = reason;
    this.#turn = this.#turn.then(() => before?.close());
  }

  get model(): ServedModel | null {
    return this.#engine?.model ?? null;
  }

  forecast(
    history: LoadHistory,
    services: readonly string[],
    nowMs: number,
    options: ForecastCall = {},
  ): Promise<ReadonlyMap<string, DemandForecast>> {
    const turn = this.#turn.then(() => this.#forecast(history, services, nowMs, options));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  status(): ForecasterStatus {
    const { answered, failed } = this.#engine?.counts ?? { answered: 0, failed: 0 };
    return {
      model: this.#refusal !== null ? "refused" : this.#engine?.alive === true ? "ready" : "paused",
      reason: this.#refusal,
      modelDir: this.#modelDir,
      kind: this.#model?.kind ?? null,
      sha256: this.#model?.sha256 ?? null,
      codeVersion: this.#model?.codeVersion ?? null,
      answered,
      failed,
    };
  }

  close(): void {
    this.#engine?.close();
  }

  async #forecast(
    history: LoadHistory,
    services: readonly string[],
    nowMs: number,
    { chain = "model", meanwhile }: ForecastCall,
  ): Promise<ReadonlyMap<string, DemandForecast>> {
    const issuedAtMs = Math.floor(nowMs / history.stepMs) * history.stepMs;
    const engine = this.#engine;
    const levels = this.#model?.levels ?? DEFAULT_LEVELS;
    const horizonSteps = this.#model?.horizonSteps ?? HORIZON_STEPS;
    let withheld: FallbackReason | null =
      chain === "baseline" ? { code: "MODEL_NOT_ASKED", text: "the baseline was asked for" } : this.#refusal;
    let answer: FleetAnswer | null = null;
    if (withheld === null) {
      if (engine === null) throw new Error("neither a model nor a refusal");
      const asking = engine.answer(history, services, nowMs);
      if (meanwhile !== undefined) await standIn(asking, meanwhile, { history, issuedAtMs, levels, horizonSteps });
      const asked = await asking;
      answer = asked.answer;
      withheld = this.#watch?.seen({ history, issuedAtMs, engine, ...asked }) ?? null;
    }
    const lastRps = new Float64Array(services.length);
    const others = new Map<string, DemandForecast>();
    const turns = new LoopTurns(ANSWER_TURN_MS);
    const names = answer?.index.names ?? services;
    for (let i = 0; i < names.length; i++) {
      const service = names[i]!;
      const reason = withheld ?? answer?.reasonAt(i) ?? null;
      if (reason === null) lastRps[i] = lastReading(history, service, issuedAtMs);
      else others.set(service, fallThrough({ service, history, issuedAtMs, levels, horizonSteps, reason }));
      // A baseline takes milliseconds where a model's answer takes none: other work of the process gets its turn in between.
      if (turns.isOver) await turns.next();
    }
    if (answer === null) return others;
    return new FleetForecast({ answer, issuedAtMs, stepMs: history.stepMs, levels, lastRps, others });
  }
}

/** A pause of the collector comes on top of a turn: short ones leave room for it. */
const ANSWER_TURN_MS = 2;
const WARMING: FallbackReason = {
  code: "MODEL_WARMING",
  text: "the model is being told what came before; its first answer is on its way",
};
const PATIENCE_MS = 500;
const STAND_IN_TURN_MS = 1;

/** Tells what the rest of the chain says, one turn of the event loop after the other, as long as the model has not answered. */
async function standIn(
  asking: Promise<EngineAnswer>,
  { services, afterMs = PATIENCE_MS, tell }: Meanwhile,
  about: Omit<FallThroughInput, "service" | "reason">,
): Promise<void> {
  let answered = false;
  let timer: NodeJS.Timeout | undefined;
  const answer = asking.then(() => {
    answered = true;
  });
  const patience = new Promise((resolve) => {
    timer = setTimeout(resolve, afterMs);
  });
  await Promise.race([answer, patience]);
  clearTimeout(timer);
  let turnStartedAt = performance.now();
  for (const service of services) {
    if (answered) return;
    tell(fallThrough({ ...about, service, reason: WARMING }));
    if (performance.now() - turnStartedAt < STAND_IN_TURN_MS) continue;
    // A rest and not a mere turn: workers have all cores busy, and a thread that never sleeps waits longest for one.
    await new Promise((resolve) => setTimeout(resolve, STAND_IN_TURN_MS));
    turnStartedAt = performance.now();
  }
}

/** What a model said at one origin, whether or not it is used. */
export interface ModelAnswers {
  history: LoadHistory;
  issuedAtMs: number;
  engine: ModelEngine;
  answer: FleetAnswer;
  histogram: Uint32Array | null;
}

export interface ModelWatch {
  /** @returns why the model's answers may not be used; null when they may */
  seen(answers: ModelAnswers): FallbackReason | null;
}
