import { parentPort, workerData } from "node:worker_threads";
import { DemandKind } from "./demand-kind.ts";
import { InputHistogram } from "./input-histogram.ts";
import { type Batch, type ModelKind, STATE, type WorkerModel } from "./model-kind.ts";
import { SeriesKind } from "./series-kind.ts";
import { ServedRecorder } from "./served-recorder.ts";

/*
 * Computes features and runs the model. Both would hold the event loop for seconds at 10,000 services, so they have a thread of their own.
 *
 *   in   {id, batch, sampleEvery}
 *   out  {type: "ready"} | {type: "failed", code, text} once, then per request
 *        {type: "result", id, values, states, histogram, tails} | {type: "error", id, text, tails}
 *
 * `values` is [answered service][level][step] in requests per second; `tails` is the batch's own memory, given back to be filled again.
 */
export interface WorkerInput {
  bytes: Uint8Array;
  model: WorkerModel;
  /** Steps of past that a batch has per service. */
  steps: number;
  /** Where a sample of the inputs is kept for the next training; null: nowhere. */
  served: { dir: string; schemaHash: string } | null;
}
export interface WorkerRequest {
  id: number;
  batch: Batch;
  /** Of how many rows one is counted for the drift monitor; 0: none. */
  sampleEvery: number;
}
export type WorkerMessage =
  | { type: "ready" }
  | { type: "failed"; code: "RUNTIME_UNAVAILABLE" | "MODEL_LOAD_FAILED"; text: string }
  | {
      type: "result";
      id: number;
      values: Float64Array;
      states: Uint8Array;
      histogram: Uint32Array | null;
      tails?: Float64Array;
    }
  | { type: "error"; id: number; text: string; tails?: Float64Array };

async function main(port: NonNullable<typeof parentPort>, { bytes, model, steps, served }: WorkerInput): Promise<void> {
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
    const session = await ort.InferenceSession.create(bytes, {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      executionMode: "sequential",
    });
    const kind: ModelKind = model.kind === "demand" ? new DemandKind(model.levels.length) : new SeriesKind(model);
    const histogram = model.statistics === null ? null : new InputHistogram(model.statistics, kind.columnNames);
    const onFailure = (cause: Error): void =>
      process.emitWarning(`the inputs that the model is asked with are not recorded: ${firstLine(cause)}`);
    const recorder = served === null ? null : new ServedRecorder({ ...served, columns: kind.columnNames, onFailure });
    const answer = async (batch: Batch, sampleEvery: number) => {
      const { tensors, states, answered } = kind.feed(batch);
      if (answered === 0) return { values: new Float64Array(0), states, histogram: null };
      const rows = tensors.features?.data;
      const counted =
        histogram === null || sampleEvery === 0 || rows === undefined
          ? null
          : histogram.count(rows, kind.columns, sampleEvery);
      // The made-up service of the trial has no time.
      if (rows !== undefined && batch.originMs > 0) recorder?.observe(rows, kind.columns * kind.horizon);
      const feeds = Object.fromEntries(
        Object.entries(tensors).map(([name, { data, dims }]) => [name, new ort.Tensor("float32", data, dims)]),
      );
      const output = (await session.run(feeds, [kind.output]))[kind.output]?.data;
      if (!(output instanceof Float32Array)) throw new Error(`the model has no output ${kind.output}`);
      return { values: kind.read(output), states, histogram: counted };
    };
    // One made-up service now, so that a file of the wrong shape is refused at the start and not in the first plan.
    const tails = Float64Array.from({ length: steps }, (_, i) => 100 + (i % 7));
    const tried = await answer({ originMs: 0, count: 1, steps, tails }, 0);
    if (tried.states[0] !== STATE.answered) throw new Error("the trial service was not answered");
    // `read` goes with the batch that was fed last, so one batch is worked on at a time.
    let turn = Promise.resolve();
    port.on("message", ({ id, batch, sampleEvery }: WorkerRequest) => {
      turn = turn.then(async () => {
        const { tails } = batch;
        const back = tails.buffer as ArrayBuffer;
        try {
          const { values, states, histogram: counted } = await answer(batch, sampleEvery);
          post({ type: "result", id, values, states, histogram: counted, tails }, [
            values.buffer as ArrayBuffer,
            states.buffer as ArrayBuffer,
            back,
          ]);
        } catch (cause) {
          post({ type: "error", id, text: firstLine(cause), tails }, [back]);
        }
      });
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
