import { Worker } from "node:worker_threads";
import { FallbackError } from "../reasons.ts";
import type { WorkerInput, WorkerMessage, WorkerRequest } from "./risk-worker.ts";

export interface RiskSessionOptions extends WorkerInput {
  /** Limit for loading the model, milliseconds. Sensible: 2,000 … 30,000. */
  loadTimeoutMs: number;
  /** Limit for one call of `run`, milliseconds. */
  timeoutMs: number;
  /** Ceiling of the worker's JavaScript heap, MiB. The runtime's own memory lies outside of it. */
  workerMemoryMb: number;
  /** The code that runs in the worker; tests put a broken one here. */
  workerUrl: URL;
}

/**
 * The risk model in a worker thread, since the engine blocks the thread that calls it. `starting` until the worker has loaded it, `ready` then, `dead` after a failure, a
 * time-out or `close`; a dead session stays dead and its owner opens another. One call at a time.
 */
export class RiskSession {
  readonly #worker: Worker;
  readonly #options: RiskSessionOptions;
  #state: "starting" | "ready" | "dead" = "starting";
  #waiting: { id: number; resolve: (message: WorkerMessage) => void; reject: (error: FallbackError) => void } | null =
    null;
  #nextId = 1;

  private constructor(options: RiskSessionOptions) {
    this.#options = options;
    const { bytes, features, workerUrl, workerMemoryMb } = options;
    this.#worker = new Worker(workerUrl, {
      workerData: { bytes, features } satisfies WorkerInput,
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
    // A process with nothing else to do may end; a call in flight holds it (see #ask).
    this.#worker.unref();
  }

  /** Loads the model and runs one row through it. Throws FallbackError. */
  static async open(options: RiskSessionOptions): Promise<RiskSession> {
    const session = new RiskSession(options);
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

  /** Outputs of `rows` (row-major), whose buffer goes to the worker. Throws FallbackError. */
  async run(rows: Float32Array<ArrayBuffer>): Promise<Float32Array> {
    if (this.#state !== "ready") throw new FallbackError("INFERENCE_FAILED", "the inference worker is not running");
    const id = this.#nextId++;
    const answer = this.#ask(id, this.#options.timeoutMs);
    this.#worker.postMessage({ id, rows } satisfies WorkerRequest, [rows.buffer]);
    const message = await answer;
    if (message.type === "result") return message.values;
    throw new FallbackError(
      "INFERENCE_FAILED",
      message.type === "error" ? message.text : `unexpected ${message.type} from the worker`,
    );
  }

  close(): void {
    this.#die(new FallbackError("INFERENCE_FAILED", "the session was closed"));
  }

  #ask(id: number, timeoutMs: number): Promise<WorkerMessage> {
    if (this.#waiting !== null) throw new Error("a session takes one call at a time");
    this.#worker.ref();
    return new Promise<WorkerMessage>((resolve, reject) => {
      const timer = setTimeout(
        () => this.#die(new FallbackError("INFERENCE_TIMEOUT", `no answer from the model within ${timeoutMs} ms`)),
        timeoutMs,
      );
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting = null;
        this.#worker.unref();
      };
      this.#waiting = {
        id,
        resolve: (message) => {
          done();
          resolve(message);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
    });
  }

  #settle(message: WorkerMessage): void {
    const id = message.type === "result" || message.type === "error" ? message.id : 0;
    if (this.#waiting?.id === id) this.#waiting.resolve(message);
  }

  /** A worker inside a native call cannot be stopped; it is let go and ends when the call returns. */
  #die(error: FallbackError): void {
    if (this.#state === "dead") return;
    this.#state = "dead";
    this.#waiting?.reject(error);
    void this.#worker.terminate();
  }
}
