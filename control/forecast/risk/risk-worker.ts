import { serveOnnx } from "../worker/onnx-worker.ts";

/** Rows (row-major features) to probabilities, in a worker thread. */
export interface RiskWorkerInput {
  bytes: Uint8Array;
  /** Per row. */
  features: number;
}

const OUTPUT = "probability";

await serveOnnx<RiskWorkerInput, Float32Array, Float32Array>(async ({ features }, run) => {
  const answer = async (rows: Float32Array) => {
    const count = rows.length / features;
    const { data, dims } = await run({ features: { data: rows, dims: [count, features] } }, OUTPUT);
    if (data.length !== count) throw new Error(`the model gives ${dims.join(" × ")}, expected ${count} × 1`);
    // A copy: the result may lie in memory of the runtime that cannot be transferred.
    const result = Float32Array.from(data);
    return { result, transfer: [result.buffer] };
  };
  await answer(new Float32Array(features));
  return answer;
});
