import { type Feed, serveOnnx } from "../worker/onnx-worker.ts";

/** Inputs of a series model to its output, in a worker thread. */
export type SeriesRequest = Record<string, Feed>;

await serveOnnx<{ bytes: Uint8Array }, SeriesRequest, Float32Array>(async (_, run) => async (inputs) => {
  const { data } = await run(inputs, "forecast");
  // A copy: the result may lie in memory of the runtime that cannot be transferred.
  const result = Float32Array.from(data);
  return { result, transfer: [result.buffer] };
});
