import { FEATURES } from "../../features/schema.ts";
import { serveOnnx } from "./onnx-worker.ts";

/** Asks the demand model for as many rows as a request says: a call of the real runtime that is as long as a test wants it. */
await serveOnnx<{ bytes: Uint8Array }, number, number>(async (_input, run) => async (rows) => {
  const features = { data: new Float32Array(rows * FEATURES.length), dims: [rows, FEATURES.length] };
  const { dims } = await run({ features }, "log_ratio");
  return { result: dims[0]!, transfer: [] };
});
