import { parentPort, workerData } from "node:worker_threads";

/*
 * Runs a series model in a thread of its own, since the engine blocks the thread that calls it.
 *
 *   in   {id, origins, inputs: {name: {data: Float32Array, dims}}}
 *   out  {type: "ready"} | {type: "failed", text} once, then per call {type: "result", id, values} | {type: "error", id, text}
 */
export interface SeriesWorkerInput {
  bytes: Uint8Array;
}
export interface SeriesRequest {
  id: number;
  inputs: Record<string, { data: Float32Array; dims: number[] }>;
}
export type SeriesMessage =
  | { type: "ready" }
  | { type: "failed"; code: "RUNTIME_UNAVAILABLE" | "MODEL_LOAD_FAILED"; text: string }
  | { type: "result"; id: number; values: Float32Array }
  | { type: "error"; id: number; text: string };

const OUTPUT = "forecast";

async function main(port: NonNullable<typeof parentPort>, { bytes }: SeriesWorkerInput): Promise<void> {
  const post = (message: SeriesMessage, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);
  let ort: typeof import("onnxruntime-node");
  try {
    ort = await import("onnxruntime-node");
  } catch (cause) {
    post({ type: "failed", code: "RUNTIME_UNAVAILABLE", text: firstLine(cause) });
    return;
  }
  try {
    const session = await ort.InferenceSession.create(bytes, {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      executionMode: "sequential",
    });
    const run = async (inputs: SeriesRequest["inputs"]): Promise<Float32Array> => {
      const feeds = Object.fromEntries(
        Object.entries(inputs).map(([name, { data, dims }]) => [name, new ort.Tensor("float32", data, dims)]),
      );
      const data = (await session.run(feeds, [OUTPUT]))[OUTPUT]?.data;
      if (!(data instanceof Float32Array)) throw new Error(`the model has no output ${OUTPUT}`);
      // A copy: the result may lie in memory of the runtime that cannot be transferred.
      return Float32Array.from(data);
    };
    port.on("message", ({ id, inputs }: SeriesRequest) => {
      run(inputs).then(
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
await main(parentPort, workerData as SeriesWorkerInput);
