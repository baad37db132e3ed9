import { parentPort, workerData } from "node:worker_threads";

/*
 * Runs the risk model. `InferenceSession.run` blocks its thread, so it has a thread of its own.
 *
 *   in   {id, rows: Float32Array}              row-major features
 *   out  {type: "ready"} | {type: "failed", code, text} once, then per request
 *        {type: "result", id, values: Float32Array} | {type: "error", id, text}
 */
export interface WorkerInput {
  bytes: Uint8Array;
  features: number;
}
export interface WorkerRequest {
  id: number;
  rows: Float32Array;
}
export type WorkerMessage =
  | { type: "ready" }
  | { type: "failed"; code: "RUNTIME_UNAVAILABLE" | "MODEL_LOAD_FAILED"; text: string }
  | { type: "result"; id: number; values: Float32Array }
  | { type: "error"; id: number; text: string };

const INPUT = "features";
const OUTPUT = "probability";

async function main(port: NonNullable<typeof parentPort>, input: WorkerInput): Promise<void> {
  const post = (message: WorkerMessage, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);
  let ort: typeof import("onnxruntime-node");
  try {
    ort = await import("onnxruntime-node");
  } catch (cause) {
    post({
      type: "failed",
      code: "RUNTIME_UNAVAILABLE",
      text: `onnxruntime-node cannot be loaded: ${firstLine(cause)}`,
    });
    return;
  }
  try {
    const session = await ort.InferenceSession.create(input.bytes, {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      executionMode: "sequential",
    });
    const run = async (rows: Float32Array): Promise<Float32Array> => {
      const count = rows.length / input.features;
      const result = (
        await session.run({ [INPUT]: new ort.Tensor("float32", rows, [count, input.features]) }, [OUTPUT])
      )[OUTPUT];
      if (!(result?.data instanceof Float32Array) || result.data.length !== count) {
        throw new Error(`the model gives ${result?.dims.join(" × ") ?? "nothing"}, expected ${count} × 1`);
      }
      // A copy: the result may lie in memory of the runtime that cannot be transferred.
      return Float32Array.from(result.data);
    };
    // One row now, so that a file of the wrong shape is refused at the start and not in the first plan.
    await run(new Float32Array(input.features));
    port.on("message", ({ id, rows }: WorkerRequest) => {
      run(rows).then(
        (values) => post({ type: "result", id, values }, [values.buffer as ArrayBuffer]),
        (cause) => post({ type: "error", id, text: firstLine(cause) }),
      );
    });
    post({ type: "ready" });
  } catch (cause) {
    post({ type: "failed", code: "MODEL_LOAD_FAILED", text: firstLine(cause) });
  }
}

function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split("\n", 1)[0]!.slice(0, 300);
}

if (parentPort === null) throw new Error("this file runs as a worker thread");
await main(parentPort, workerData as WorkerInput);
