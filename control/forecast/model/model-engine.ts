import { availableParallelism } from "node:os";
import { groupNeeds } from "../../features/groups/grouped-inputs.ts";
import type { LoadHistory } from "../../ingest/load-history.ts";
import { guardOutput } from "../guard.ts";
import { Quantiles } from "../quantiles.ts";
import { FallbackError, type FallbackReason } from "../reasons.ts";
import { REQUESTS_IN_FLIGHT, WorkerSession } from "../worker/worker-session.ts";
import { BatchGatherer, MAX_BATCH_SERVICES } from "./batch-gatherer.ts";
import { FleetAnswer, ServiceIndex } from "./fleet-answer.ts";
import { STATE } from "./model-kind.ts";
import type { BatchAnswer, BatchRequest, ModelWorkerInput } from "./model-worker.ts";
import type { ServedModel } from "./served-model.ts";
import { NO_WORLD, type WorldAnswer, type WorldSource } from "./world-source.ts";

export interface EngineOptions {
  /** Limit for one batch of inference, milliseconds. Default 2,000; sensible 100 … 10,000. */
  timeoutMs: number;
  /** Limit for loading the model, milliseconds. Default 15,000. */
  loadTimeoutMs: number;
  /** Ceiling of an inference worker's JavaScript heap, MiB; each kept past has 5 KiB there, and near the ceiling it only collects. Default 256. */
  workerMemoryMb: number;
  /** What the workers may keep of the services' pasts together, MiB (a series model with a season of 288 steps: 0.15 per service). Default 2,048. */
  keptMemoryMb: number;
  /** Inference workers at most. A second one is started when more than 1,000 services are asked for. Default: the cores, at most 2. */
  maxWorkers: number;
  /** Services that will be asked for, so that their workers are started with the first and not at the first call. Default 1. */
  expectedServices: number;
  /** How long the model is left alone after three failures in a row, milliseconds. Default 60,000. */
  pauseMs: number;
  /** Folder in which a sample of the inputs is kept, for `ballast train --served`; null (default): none. */
  servedDir: string | null;
  /** What feature groups are made of. Default: nothing, so that a model which needs more than the loads is refused. */
  world: WorldSource;
  /** Monotonic milliseconds. Default performance.now(). */
  monotonicMs: () => number;
  /** The code of the inference worker. Default this room's. */
  workerUrl: URL;
}

export const ENGINE_DEFAULTS: EngineOptions = {
  timeoutMs: 2_000,
  loadTimeoutMs: 15_000,
  workerMemoryMb: 256,
  keptMemoryMb: 2_048,
  maxWorkers: Math.min(2, availableParallelism()),
  expectedServices: 1,
  pauseMs: 60_000,
  servedDir: null,
  world: NO_WORLD,
  monotonicMs: () => performance.now(),
  workerUrl: new URL("./model-worker.ts", import.meta.url),
};

export interface EngineAnswer {
  answer: FleetAnswer;
  /** Inputs counted in the bins of the training statistics; null without statistics, or when nothing was answered. */
  histogram: Uint32Array | null;
}

/** What was asked of a worker, where it wrote its answer, and what it said about it. */
type AnsweredBatch = BatchAnswer & { services: string[]; values: Float64Array };

type ModelSession = WorkerSession<ModelWorkerInput, BatchRequest, BatchAnswer>;

const MANY_SERVICES = 1_000;
const MAX_FAILURES = 3;
const NOTHING_ASKED: FallbackReason = { code: "MODEL_NOT_ASKED", text: "no service was left" };
/** Rows counted for the drift monitor per call, about: more say nothing more about a distribution. */
const SAMPLED_SERVICES = 250;

/**
 * A model that answers for any number of services. The caller's thread copies each service's past into a batch and unpacks the answers, one
 * batch between two turns of its event loop; features and inference are the workers'. Failures are answers, never rejections.
 */
export class ModelEngine {
  readonly model: ServedModel;
  readonly #options: EngineOptions;
  #sessions: ModelSession[] = [];
  #failures = 0;
  #lastFailure = "";
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  #answered = 0;
  #failed = 0;
  #closed = false;
  #reopening: Promise<void> | null = null;
  #loopTurn: Promise<unknown> = Promise.resolve();
  readonly #gatherer: BatchGatherer;
  #index: ServiceIndex | null = null;

  private constructor(model: ServedModel, options: EngineOptions) {
    this.model = model;
    this.#options = options;
    this.#gatherer = new BatchGatherer(model, options.keptMemoryMb * 2 ** 20);
  }

  /** Throws FallbackError when the runtime or the file cannot be used. */
  static async open(model: ServedModel, options: Partial<EngineOptions> = {}): Promise<ModelEngine> {
    const engine = new ModelEngine(model, { ...ENGINE_DEFAULTS, ...options });
    engine.#sessions = [await engine.#openSession()];
    await engine.#grow(engine.#options.expectedServices);
    return engine;
  }

  get alive(): boolean {
    return this.#sessions.some((session) => session.alive);
  }

  /** Batches since the start. */
  get counts(): { answered: number; failed: number } {
    return { answered: this.#answered, failed: this.#failed };
  }

  /** One call at a time: the caller waits for the one before. */
  async answer(history: LoadHistory, services: readonly string[], nowMs: number): Promise<EngineAnswer> {
    const { model } = this;
    this.#index = ServiceIndex.of(services, this.#index);
    const answer = new FleetAnswer(this.#index, model.levels.length, model.horizonSteps);
    if (history.stepMs !== model.stepMs) {
      const text = `the history has steps of ${history.stepMs} ms, the model of ${model.stepMs} ms`;
      return { answer: answer.refuseAll({ code: "STEP_MISMATCH", text }), histogram: null };
    }
    const originMs = Math.floor(nowMs / history.stepMs) * history.stepMs;
    const sampleEvery = model.statistics === null ? 0 : Math.max(1, Math.floor(services.length / SAMPLED_SERVICES));
    await this.#grow(services.length);
    const known = await this.#known(history, services, originMs);
    if (known !== null && "reason" in known) return { answer: answer.refuseAll(known.reason), histogram: null };
    let histogram: Uint32Array | null = null;
    const lane = async (queue: string[], holder: ModelSession | null): Promise<void> => {
      while (queue.length > 0) {
        await this.#turnOfTheLoop();
        const asked = await this.#ask(history, queue, originMs, sampleEvery, holder, known, answer);
        if ("reason" in asked) {
          for (const service of asked.services) answer.refuse(placeOf(answer, service), asked.reason);
          continue;
        }
        this.#unpack(history, asked, answer);
        const counted = asked.histogram;
        if (counted !== null) histogram = added(histogram, counted);
      }
    };
    const lanes: Promise<void>[] = [];
    for (const [holder, queue] of this.#gatherer.share(history, this.#index.names, this.#sessions)) {
      const workers = holder === null ? Math.max(1, this.#sessions.length) : 1;
      for (let i = 0; i < workers * REQUESTS_IN_FLIGHT; i++) lanes.push(lane(queue, holder));
    }
    await Promise.all(lanes);
    return { answer, histogram };
  }

  close(): void {
    this.#closed = true;
    for (const session of this.#sessions) session.close();
    this.#sessions = [];
  }

  /** Whatever else waits for the event loop comes first. Lanes go one by one: all that is due in one turn would run in one piece. */
  #turnOfTheLoop(): Promise<unknown> {
    this.#loopTurn = this.#loopTurn.then(() => new Promise((resolve) => setImmediate(resolve)));
    return this.#loopTurn;
  }

  /** What the model's groups look at; null where they need no more than each service's past. */
  async #known(history: LoadHistory, services: readonly string[], originMs: number): Promise<WorldAnswer | null> {
    const { worker } = this.model;
    if (worker.kind !== "series" || groupNeeds(worker.groups).length === 0) return null;
    const { groups, season, horizon } = worker;
    return this.#options.world.at({ groups, history, services, originMs, season, horizon });
  }

  /** Asks for the services at the front of a queue, their holder where it lives. */
  async #ask(
    history: LoadHistory,
    queue: string[],
    originMs: number,
    sampleEvery: number,
    holder: ModelSession | null,
    known: Extract<WorldAnswer, { of: unknown }> | null,
    into: FleetAnswer,
  ): Promise<AnsweredBatch | { services: string[]; reason: FallbackReason }> {
    const { monotonicMs, pauseMs } = this.#options;
    let services: string[] = [];
    try {
      if (this.#closed) throw new FallbackError("INFERENCE_FAILED", "the forecaster was closed");
      if (monotonicMs() < this.#pausedUntilMs)
        throw new FallbackError(
          "MODEL_PAUSED",
          `the model failed ${MAX_FAILURES} times in a row and is tried again later (${this.#lastFailure})`,
        );
      if (!this.alive) await this.#reopen();
      // Another lane may have taken the rest meanwhile.
      if (queue.length === 0) return { services, reason: NOTHING_ASKED };
      const session = holder?.alive === true ? holder : this.#leastBusy();
      const gathered = this.#gatherer.take(queue, history, originMs, session);
      services = gathered.services;
      const batch =
        known === null ? gathered.batch : { ...gathered.batch, known: { services, world: known.of(services) } };
      const values = into.room(services.length);
      const answer = await session.run({ batch, values, sampleEvery }, []);
      this.#gatherer.answered(batch.tails);
      this.#answered++;
      this.#failures = 0;
      return { services, values, ...answer };
    } catch (thrown) {
      if (!(thrown instanceof FallbackError)) throw thrown;
      this.#gatherer.failed(services);
      // What was not gathered for want of a session has the same reason.
      if (services.length === 0) services = queue.splice(0, MAX_BATCH_SERVICES);
      const paused = thrown.reason.code === "MODEL_PAUSED" || this.#closed;
      if (!paused) {
        this.#failed++;
        this.#failures++;
        this.#lastFailure = `${thrown.reason.code}: ${thrown.reason.text}`;
        if (this.#failures >= MAX_FAILURES) {
          this.#failures = 0;
          this.#pausedUntilMs = monotonicMs() + pauseMs;
        }
      }
      return { services, reason: thrown.reason };
    }
  }

  #unpack(history: LoadHistory, { services, values, states }: AnsweredBatch, into: FleetAnswer): void {
    const { levels, horizonSteps, minHistorySteps } = this.model;
    const size = levels.length * horizonSteps;
    let answered = 0;
    for (let i = 0; i < services.length; i++) {
      const service = services[i]!;
      const place = placeOf(into, service);
      const state = states[i];
      if (state === STATE.short) {
        const text = `the model needs ${minHistorySteps} steps of history`;
        into.refuse(place, { code: "HISTORY_TOO_SHORT", text });
      } else if (state === STATE.stale) {
        into.refuse(place, { code: "HISTORY_STALE", text: "no load was seen in the last hour" });
      } else {
        const nth = answered++;
        const said = new Quantiles(values, nth * size, levels.length, horizonSteps);
        const fault = guardOutput(said, history.highest(service));
        if (fault === null) into.take(place, values, nth);
        else into.refuse(place, { code: "OUTPUT_GUARD", text: `the model's output was refused: ${fault}` });
      }
    }
  }

  #leastBusy(): ModelSession {
    const alive = this.#sessions.filter((session) => session.alive);
    if (alive.length === 0) throw new FallbackError("INFERENCE_FAILED", "the inference worker is not running");
    return alive.reduce((best, one) => (one.waiting < best.waiting ? one : best));
  }

  /** Opens a session in place of those that died, once for all batches that wait for it. */
  #reopen(): Promise<void> {
    this.#reopening ??= this.#openSession()
      .then((session) => {
        this.#sessions = [session];
      })
      .finally(() => {
        this.#reopening = null;
      });
    return this.#reopening;
  }

  async #grow(services: number): Promise<void> {
    const wanted = services > MANY_SERVICES ? this.#options.maxWorkers : 1;
    this.#sessions = this.#sessions.filter((session) => session.alive);
    while (this.#sessions.length > 0 && this.#sessions.length < wanted && !this.#closed) {
      try {
        this.#sessions.push(await this.#openSession());
      } catch (thrown) {
        // The first one works: answers come later, not worse.
        if (thrown instanceof FallbackError) return;
        throw thrown;
      }
    }
  }

  async #openSession(): Promise<ModelSession> {
    const { loadTimeoutMs, timeoutMs, workerMemoryMb, workerUrl, servedDir } = this.#options;
    const { bytes, worker: model, historySteps: steps, schemaHash } = this.model;
    // One worker's share of the services is sample enough, and two would write one file.
    const served = servedDir === null || this.alive ? null : { dir: servedDir, schemaHash };
    const session: ModelSession = await WorkerSession.open({
      input: { bytes, model, steps, served },
      loadTimeoutMs,
      timeoutMs,
      workerMemoryMb,
      workerUrl,
    });
    if (this.#closed) {
      session.close();
      throw new FallbackError("INFERENCE_FAILED", "the forecaster was closed");
    }
    return session;
  }
}

function placeOf({ index }: FleetAnswer, service: string): number {
  const place = index.placeOf(service);
  if (place === undefined) throw new Error(`${service} was not asked for`);
  return place;
}

function added(sum: Uint32Array | null, counts: Uint32Array): Uint32Array {
  if (sum === null) return counts;
  for (let i = 0; i < sum.length; i++) sum[i]! += counts[i]!;
  return sum;
}
