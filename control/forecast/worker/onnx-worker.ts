import { readlinkSync } from "node:fs";
import { constants, getPriority, setPriority } from "node:os";
import { basename } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { Ended, NativeGate } from "./native-gate.ts";
import type { WorkerMessage, WorkerRequest, WorkerStart } from "./worker-session.ts";

/** A named input of the graph. */
export interface Feed {
  data: Float32Array;
  dims: readonly number[];
}

/** Runs the graph once and gives one of its outputs, in memory that may belong to the runtime. Throws where it is not float32. */
export type RunGraph = (
  feeds: Readonly<Record<string, Feed>>,
  output: string,
) => Promise<{ data: Float32Array; dims: readonly number[] }>;

/** What a worker answers a request with; `transfer` names the memory that goes with it instead of being copied. */
export interface Answer<Result> {
  result: Result;
  transfer: ArrayBuffer[];
}

/**
 * The whole life of an inference worker: loads the runtime and the file in `bytes` of its input, lets `open` say how a request is answered,
 * posts `ready`, and then answers one request after the other. `open` should try the model once, so that a file of the wrong shape is
 * refused at the start and not in the first plan. `InferenceSession.run` blocks its thread, which is why it has one of its own.
 */
export async function serveOnnx<Input extends { bytes: Uint8Array }, Request, Result>(
  open: (input: Input, run: RunGraph) => Promise<(request: Request) => Promise<Answer<Result>>>,
): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error("this file runs as a worker thread");
  const post = (message: WorkerMessage<Result>, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer);
  giveWay();
  const { gate: memory, input } = workerData as WorkerStart<Input>;
  const gate = new NativeGate(memory);
  let ort: typeof import("onnxruntime-node");
  try {
    ort = await gate.pass(() => import("onnxruntime-node"));
  } catch (cause) {
    if (cause instanceof Ended) return;
    const text = `onnxruntime-node cannot be loaded: ${firstLine(cause)}`;
    post({ type: "failed", code: "RUNTIME_UNAVAILABLE", text });
    return;
  }
  try {
    const session = await gate.pass(() =>
      ort.InferenceSession.create(input.bytes, {
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        executionMode: "sequential",
      }),
    );
    const answer = await open(input, async (feeds, output) => {
      const tensors = Object.fromEntries(
        Object.entries(feeds).map(([name, { data, dims }]) => [name, new ort.Tensor("float32", data, dims)]),
      );
      const tensor = (await gate.pass(() => session.run(tensors, [output])))[output];
      if (!(tensor?.data instanceof Float32Array)) throw new Error(`the model has no output ${output}`);
      return { data: tensor.data, dims: tensor.dims };
    });
    // One request at a time: what a request leaves in the memory of the worker may be needed until it is answered.
    let turn = Promise.resolve();
    port.on("message", ({ id, request }: WorkerRequest<Request>) => {
      turn = turn.then(async () => {
        try {
          const { result, transfer } = await answer(request);
          post({ type: "result", id, result }, transfer);
        } catch (cause) {
          if (cause instanceof Ended) port.close();
          else post({ type: "error", id, text: firstLine(cause) });
        }
      });
    });
    post({ type: "ready" });
  } catch (cause) {
    if (!(cause instanceof Ended)) post({ type: "failed", code: "MODEL_LOAD_FAILED", text: firstLine(cause) });
  }
}

/** Added to the nice value: a third of the time of a thread that competes. With 15 the event loop was held no shorter. */
const NICER = 5;

/**
 * Lets the event loop go first where cores are short. Linux takes the number of a thread in setpriority(2) and gives it a nice value of its
 * own; elsewhere such a number would name a process, so nothing is done.
 */
function giveWay(): void {
  if (process.platform !== "linux") return;
  try {
    const thread = Number(basename(readlinkSync("/proc/thread-self")));
    setPriority(thread, Math.min(getPriority(thread) + NICER, constants.priority.PRIORITY_LOW));
  } catch {
    // Without /proc, or where it is forbidden, the thread competes like any other.
  }
}

/** The runtime's errors are long; their first line says what is wrong. */
export function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split("\n", 1)[0]!.slice(0, 300);
}
