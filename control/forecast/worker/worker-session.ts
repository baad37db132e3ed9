import { Worker } from "node:worker_threads";
import { FallbackError } from "../reasons.ts";
import { NativeGate } from "./native-gate.ts";

/*
 * What a session and its worker say to each other:
 *
 *   in   {id, request}
 *   out  {type: "ready"} | {type: "failed", code, text} once, then per request
 *        {type: "result", id, result} | {type: "error", id, text}
 */
export interface WorkerRequest<Request> {
  id: number;
  request: Request;
}
export type WorkerMessage<Result> =
  | { type: "ready" }
  | { type: "failed"; code: "RUNTIME_UNAVAILABLE" | "MODEL_LOAD_FAILED"; text: string }
  | { type: "result"; id: number; result: Result }
  | { type: "error"; id: number; text: string };

/** What a worker is started with. */
export interface WorkerStart<Input> {
  input: Input;
  gate: SharedArrayBuffer;
}

export interface WorkerSessionOptions<Input> {
  /** What the worker starts with. */
  input: Input;
  /** Limit for loading the model, milliseconds. Sensible: 2,000 … 30,000. */
  loadTimeoutMs: number;
  /** Limit for one request, milliseconds, its wait for those before it included. */
  timeoutMs: number;
  /** Ceiling of the worker's JavaScript heap, MiB. Batches and the runtime's own memory lie outside of it. */
  workerMemoryMb: number;
  /** The code that runs in the worker; tests put a broken one here. */
  workerUrl: URL;
}

/** Requests that a busy session should hold: one that is worked on and one that waits, so that the worker never does. */
export const REQUESTS_IN_FLIGHT = 2;
/** After the loss of a worker another takes over what both had. */
const MAX_WAITING = 4 * REQUESTS_IN_FLIGHT;

/** Threads of given-up workers that still run at most: each has a core. */
const MAX_LEFT_BEHIND = 4;
/** How long one of them keeps a process alive that would end. */
const MAX_HOLD_MS = 10_000;
let leftBehind = 0;

/**
 * A model in a worker thread. `starting` until the worker has loaded it, `ready` then, `dead` after a failure, a time-out or `close`; a
 * dead session stays dead, all its requests with it, and its owner opens another.
 */
export class WorkerSession<Input, Request, Result> {
  readonly #worker: Worker;
  readonly #gate: NativeGate;
  readonly #timeoutMs: number;
  #state: "starting" | "ready" | "dead" = "starting";
  readonly #waiting = new Map<
    number,
    { resolve: (message: WorkerMessage<Result>) => void; reject: (error: FallbackError) => void }
  >();
  #nextId = 1;
  /** Why it is dead: whoever asks later gets the same reason. */
  #death: FallbackError | null = null;

  private constructor({ input, timeoutMs, workerUrl, workerMemoryMb }: WorkerSessionOptions<Input>) {
    this.#timeoutMs = timeoutMs;
    const gate = new SharedArrayBuffer(NativeGate.BYTES);
    this.#gate = new NativeGate(gate);
    this.#worker = new Worker(workerUrl, {
      workerData: { input, gate } satisfies WorkerStart<Input>,
      resourceLimits: { maxOldGenerationSizeMb: workerMemoryMb },
      // Flags of the parent such as --test or --inspect are not for the worker.
      execArgv: [],
    });
    this.#worker.on("message", (message: WorkerMessage<Result>) => this.#settle(message));
    this.#worker.on("error", (cause) => {
      const text = cause instanceof Error ? cause.message : String(cause);
      this.#die(new FallbackError("INFERENCE_FAILED", `the inference worker failed: ${text}`, cause));
    });
    this.#worker.on("exit", () => this.#fail(new FallbackError("INFERENCE_FAILED", "the inference worker ended")));
    // A process with nothing else to do may end; a request in flight holds it (see #ask).
    this.#worker.unref();
  }

  /** Loads the model and asks it once. Throws FallbackError, also while too many calls that took too long still run. */
  static async open<Input, Request, Result>(
    options: WorkerSessionOptions<Input>,
  ): Promise<WorkerSession<Input, Request, Result>> {
    if (leftBehind >= MAX_LEFT_BEHIND)
      throw new FallbackError("INFERENCE_TIMEOUT", `${leftBehind} calls that took too long have not returned yet`);
    const session = new WorkerSession<Input, Request, Result>(options);
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

  /** Requests that it holds now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Answers a request; the memory in `transfer` goes to the worker. Throws FallbackError. */
  async run(request: Request, transfer: ArrayBuffer[]): Promise<Result> {
    if (this.#state !== "ready") throw this.#death ?? new Error("a session is asked once it is ready");
    const id = this.#nextId++;
    const answer = this.#ask(id, this.#timeoutMs);
    this.#worker.postMessage({ id, request } satisfies WorkerRequest<Request>, transfer);
    const message = await answer;
    if (message.type === "result") return message.result;
    throw new FallbackError(
      "INFERENCE_FAILED",
      message.type === "error" ? message.text : `unexpected ${message.type} from the worker`,
    );
  }

  close(): void {
    this.#die(new FallbackError("INFERENCE_FAILED", "the session was closed"));
  }

  #ask(id: number, timeoutMs: number): Promise<WorkerMessage<Result>> {
    if (this.#waiting.size >= MAX_WAITING) throw new Error(`a session holds ${MAX_WAITING} requests at most`);
    this.#worker.ref();
    return new Promise<WorkerMessage<Result>>((resolve, reject) => {
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

  #settle(message: WorkerMessage<Result>): void {
    const id = message.type === "result" || message.type === "error" ? message.id : 0;
    this.#waiting.get(id)?.resolve(message);
  }

  /** All that wait get the reason; the thread is not touched. */
  #fail(error: FallbackError): void {
    if (this.#state === "dead") return;
    this.#state = "dead";
    this.#death = error;
    for (const { reject } of [...this.#waiting.values()]) reject(error);
  }

  /** A worker inside a native call is let go and ends when the call returns; the process waits for it, as its end would terminate it too. */
  #die(error: FallbackError): void {
    if (this.#state === "dead") return;
    this.#fail(error);
    if (!this.#gate.end()) {
      void this.#worker.terminate();
      return;
    }
    leftBehind++;
    this.#worker.ref();
    const hold = setTimeout(() => this.#worker.unref(), MAX_HOLD_MS).unref();
    this.#worker.once("exit", () => {
      clearTimeout(hold);
      leftBehind--;
    });
  }
}
