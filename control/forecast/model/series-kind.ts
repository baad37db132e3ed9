import { GroupedInputs } from "../../features/groups/grouped-inputs.ts";
import type { World } from "../../features/groups/world.ts";
import { Past } from "../../features/series/past.ts";
import type { OriginInputs } from "../../features/series/series-features.ts";
import {
  CONTEXT_CHANNELS,
  minPastSteps,
  SEQUENCE_CHANNELS,
  SERIES_FEATURES,
  spansOf,
} from "../../features/series/shape.ts";
import { type Batch, type Feeds, type ModelKind, STATE, type WorkerModel } from "./model-kind.ts";

/** A model of the training pipeline: trees over each step ahead and an LSTM over the near past, around an anchor forecast. */
export class SeriesKind implements ModelKind {
  readonly output = "forecast";
  readonly horizon: number;
  readonly levels: number;
  readonly columns: number;
  readonly columnNames: readonly string[];
  readonly #season: number;
  readonly #minPast: number;
  readonly #inputs: GroupedInputs;
  /** Of a batch that comes without one. */
  readonly #nothing: World;
  readonly #sizes: { name: "features" | "sequence" | "context"; dims: number[] }[];
  /** Steps of an hour: without any value in them a service is stale. */
  readonly #staleSteps: number;
  #scales: Pick<OriginInputs, "anchor" | "scale">[] = [];

  constructor(model: Extract<WorkerModel, { kind: "series" }>) {
    this.horizon = model.horizon;
    this.levels = model.levels.length;
    this.#season = model.season;
    this.#minPast = minPastSteps(model);
    this.#inputs = new GroupedInputs(model, model.groups);
    this.#nothing = { stepMs: model.stepMs };
    const added = this.#inputs.columns.map(({ name }) => name);
    this.columnNames = [...SERIES_FEATURES, ...added];
    this.columns = this.columnNames.length;
    this.#staleSteps = model.horizon;
    const { near } = spansOf(model);
    const dims = {
      features: [model.horizon, this.columns],
      sequence: [near, SEQUENCE_CHANNELS.length],
      context: [model.horizon, CONTEXT_CHANNELS.length + added.length],
    };
    this.#sizes = model.inputs.map((name) => ({ name, dims: dims[name] }));
  }

  feed({ originMs, count, steps, tails, known }: Batch): Feeds {
    const world = known?.world ?? this.#nothing;
    const states = new Uint8Array(count);
    const data = this.#sizes.map(({ dims }) => new Float32Array(count * dims[0]! * dims[1]!));
    this.#scales = [];
    for (let i = 0; i < count; i++) {
      let from = i * steps;
      const to = from + steps;
      // What lies before the first reading is no past: as zeros it would be learnt from.
      while (from < to && Number.isNaN(tails[from]!)) from++;
      const tail = tails.subarray(from, to);
      if (tail.length < this.#minPast) {
        states[i] = STATE.short;
        continue;
      }
      if (tail.subarray(-this.#staleSteps).every(Number.isNaN)) {
        states[i] = STATE.stale;
        continue;
      }
      const startMs = originMs - tail.length * world.stepMs;
      const service = known?.services[i] ?? "";
      const built = this.#inputs.prepare(new Past(tail, this.#season), startMs, service, world).at(tail.length);
      const at = this.#scales.length;
      for (const [k, { name, dims }] of this.#sizes.entries()) data[k]!.set(built[name], at * dims[0]! * dims[1]!);
      this.#scales.push({ anchor: built.anchor, scale: built.scale });
    }
    const answered = this.#scales.length;
    const tensors: Feeds["tensors"] = {};
    for (const [k, { name, dims }] of this.#sizes.entries()) {
      const all = data[k]!;
      const size = dims[0]! * dims[1]!;
      tensors[name] = { data: answered === count ? all : all.slice(0, answered * size), dims: [answered, ...dims] };
    }
    return { tensors, states, answered };
  }

  read(output: Float32Array): Float64Array {
    const { horizon, levels } = this;
    const values = new Float64Array(this.#scales.length * levels * horizon);
    if (output.length !== values.length)
      throw new Error(`the model gives ${output.length} values for ${values.length}`);
    for (const [i, { anchor, scale }] of this.#scales.entries())
      for (let h = 0; h < horizon; h++)
        for (let level = 0; level < levels; level++)
          // A rate is never negative; NaN stays NaN for the guard.
          values[(i * levels + level) * horizon + h] = Math.max(
            0,
            anchor[h]! + scale * output[(i * horizon + h) * levels + level]!,
          );
    return values;
  }
}
