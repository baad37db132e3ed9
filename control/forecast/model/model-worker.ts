import { firstLine, serveOnnx } from "../worker/onnx-worker.ts";
import { DemandKind } from "./demand-kind.ts";
import { InputHistogram } from "./input-histogram.ts";
import { type Batch, type ModelKind, STATE, type WorkerModel } from "./model-kind.ts";
import { SeriesKind } from "./series-kind.ts";
import { ServedRecorder } from "./served-recorder.ts";

/** Computes features and runs the model. Both would hold the event loop for seconds at 10,000 services, so they have a thread of their own. */
export interface ModelWorkerInput {
  bytes: Uint8Array;
  model: WorkerModel;
  /** Steps of past that a batch has per service. */
  steps: number;
  /** Where a sample of the inputs is kept for the next training; null: nowhere. */
  served: { dir: string; schemaHash: string } | null;
}
export interface BatchRequest {
  batch: Batch;
  /** Shared memory for the answer: requests per second, [answered service][level][step], room for all services of the batch. */
  values: Float64Array;
  /** Of how many rows one is counted for the drift monitor; 0: none. */
  sampleEvery: number;
}
export interface BatchAnswer {
  /** Per service of the batch: a STATE. */
  states: Uint8Array;
  histogram: Uint32Array | null;
}

await serveOnnx<ModelWorkerInput, BatchRequest, BatchAnswer>(async ({ model, steps, served }, run) => {
  const kind: ModelKind = model.kind === "demand" ? new DemandKind(model.levels.length) : new SeriesKind(model);
  const histogram = model.statistics === null ? null : new InputHistogram(model.statistics, kind.columnNames);
  const onFailure = (cause: Error): void =>
    process.emitWarning(`the inputs that the model is asked with are not recorded: ${firstLine(cause)}`);
  const recorder = served === null ? null : new ServedRecorder({ ...served, columns: kind.columnNames, onFailure });
  const infer = async ({ batch, values, sampleEvery }: BatchRequest): Promise<BatchAnswer> => {
    const { tensors, states, answered } = kind.feed(batch);
    if (answered === 0) return { states, histogram: null };
    const rows = tensors.features?.data;
    const counted =
      histogram === null || sampleEvery === 0 || rows === undefined
        ? null
        : histogram.count(rows, kind.columns, sampleEvery);
    // The made-up service of the trial has no time.
    if (rows !== undefined && batch.originMs > 0) recorder?.observe(rows, kind.columns * kind.horizon);
    const { data } = await run(tensors, kind.output);
    kind.read(data, values);
    return { states, histogram: counted };
  };
  const tails = Float64Array.from({ length: steps }, (_, i) => 100 + (i % 7));
  const values = new Float64Array(kind.levels * kind.horizon);
  const tried = await infer({ batch: { originMs: 0, count: 1, steps, tails }, values, sampleEvery: 0 });
  if (tried.states[0] !== STATE.answered) throw new Error("the trial service was not answered");
  return async (request) => {
    const result = await infer(request);
    return { result, transfer: [result.states.buffer as ArrayBuffer] };
  };
});
