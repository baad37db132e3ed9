import { Worker } from "node:worker_threads";
import { FallbackError } from "../reasons.ts";
import type { Batch } from "./model-kind.ts";
import type { WorkerInput, WorkerMessage, WorkerRequest } from "./model-worker.ts";

export interface WorkerSessionOptions extends WorkerInput {
  /** Limit for loading the model, milliseconds. Sensible: 2,000 … 30,000. */
  loadTimeoutMs: number;
  /** Limit for one batch, milliseconds, its wait for the one before it included. */
  timeoutMs: number;
  /** Ceiling of the worker's JavaScript heap, MiB. Batches and the runtime's own memory lie outside of it. */
  workerMemoryMb: number;
  /** The code that runs in the worker; tests put a broken one here. */
  workerUrl: URL;
}

export type BatchAnswer = Extract<WorkerMessage, { type: "result" }>;

/** Batches that a session should hold: one that is worked on and one that waits, so that the worker never does. */
export const BATCHES_IN_FLIGHT = 2;
/** After the loss of a worker the other takes over what both had. */
const MAX_WAITING = 4 * BATCHES_IN_FLIGHT;

/**
 * A model in a worker thread. `starting` until the worker has loaded it, `ready` then, `dead` after a failure, a time-out or `close`; a
 * dead session stays dead, all its batches with it, and its owner opens another.
 */
export class WorkerSession {
  readonly #worker: Worker;
  readonly #options: WorkerSessionOptions;
  #state: "starting" | "ready" | "dead" = "starting";
  readonly #waiting = new Map<
    number,
    { resolve: (message: WorkerMessage) => void; reject: (error: FallbackError) => void }
  >();
  #nextId = 1;

  private constructor(options: WorkerSessionOptions) {
    this.#options = options;
    const { bytes, model, steps, served, workerUrl, workerMemoryMb } = options;
    this.#worker = new Worker(workerUrl, {
      workerData: { bytes, model, steps, served } satisfies WorkerInput,
      resourceLimits: { maxOldGenerationSizeMb: workerMemoryMb },
      // Flags of the parent such as --test or --inspect are not for the worker.
      execArgv: [],
    });
    this.#worker.on("message", (message: WorkerMessage) => this.#settle(message));
    this.#worker.on("error", (cause) =>
      this.#die(
        new FallbackError(
          "INFERENCE_FAILED",
          `the inference worker failed: ${cause instanceof Error ? cause.message : String(cause)}`,
          cause,
        ),
      ),
    );
    this.#worker.on("exit", () => this.#die(new FallbackError("INFERENCE_FAILED", "the inference worker ended")));
    // A process with nothing else to do may end; a batch in flight holds it (see #ask).
    this.#worker.unref();
  }

  /** Loads the model and asks it once. Throws FallbackError. */
  static async open(options: WorkerSessionOptions): Promise<WorkerSession> {
    const session = new WorkerSession(options);
    const message = await session.#ask(0, options.loadTimeoutMs);
    if (message.type === "failed") {
      session.close();
      throw new FallbackError(message.code, message.text);
    }
    session.#state = "ready";
    return session;
  }

  get alive(): boolean {
    return this.#state === "ready";
  }

  /** Batches that it holds now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Answers a batch, whose memory goes to the worker and comes back with the answer. Throws FallbackError. */
  async run(batch: Batch, sampleEvery: number): Promise<BatchAnswer> {
    if (this.#state !== "ready") throw new FallbackError("INFERENCE_FAILED", "the inference worker is not running");
    const id = this.#nextId++;
    const answer = this.#ask(id, this.#options.timeoutMs);
    this.#worker.postMessage({ id, batch, sampleEvery } satisfies WorkerRequest, [batch.tails.buffer as ArrayBuffer]);
    const message = await answer;
    if (message.type === "result") return message;
    throw new FallbackError(
      "INFERENCE_FAILED",
      message.type === "error" ? message.text : `unexpected ${message.type} from the worker`,
    );
  }

  close(): void {
    this.#die(new FallbackError("INFERENCE_FAILED", "the session was closed"));
  }

  #ask(id: number, timeoutMs: number): Promise<WorkerMessage> {
    if (this.#waiting.size >= MAX_WAITING) throw new Error(`a session holds ${MAX_WAITING} batches at most`);
    this.#worker.ref();
    return new Promise<WorkerMessage>((resolve, reject) => {
      const timer = setTimeout(
        () => this.#die(new FallbackError("INFERENCE_TIMEOUT", `no answer from the model within ${timeoutMs} ms`)),
        timeoutMs,
      );
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        if (this.#waiting.size === 0) this.#worker.unref();
      };
      this.#waiting.set(id, {
        resolve: (message) => {
          done();
          resolve(message);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
    });
  }

  #settle(message: WorkerMessage): void {
    const id = message.type === "result" || message.type === "error" ? message.id : 0;
    this.#waiting.get(id)?.resolve(message);
  }

  /** A worker inside a native call cannot be stopped; it is let go and ends when the call returns. */
  #die(error: FallbackError): void {
    if (this.#state === "dead") return;
    this.#state = "dead";
    for (const { reject } of [...this.#waiting.values()]) reject(error);
    void this.#worker.terminate();
  }
}
