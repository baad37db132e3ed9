import { GROUPS, GroupedInputs } from "../../features/groups/grouped-inputs.ts";
import type { World } from "../../features/groups/world.ts";
import { bankMemorySteps } from "../../features/series/bank/forecast-bank.ts";
import { Past } from "../../features/series/past.ts";
import type { InputRows } from "../../features/series/series-features.ts";
import {
  CONTEXT_CHANNELS,
  minPastSteps,
  SEQUENCE_CHANNELS,
  SERIES_FEATURES,
  spansOf,
} from "../../features/series/shape.ts";
import { MAX_TAKEN_BACK_STEPS, NOT_KEPT } from "./kept-pasts.ts";
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
  /** Numbers per service. */
  readonly #strides: Readonly<Record<"features" | "sequence" | "context", number>>;
  /** Steps of an hour: without any value in them a service is stale. */
  readonly #staleSteps: number;
  /** By the number that the caller gave them. */
  readonly #pasts = new Map<number, { past: Past; startStep: number }>();
  readonly #recentSteps: number;
  /** Of a whole batch, one service after the other; used again by the next one. */
  #rows: InputRows;
  #scales = new Float64Array(0);
  #answered = 0;

  constructor(model: Extract<WorkerModel, { kind: "series" }>) {
    this.horizon = model.horizon;
    this.levels = model.levels.length;
    this.#season = model.season;
    this.#minPast = minPastSteps(model);
    this.#inputs = new GroupedInputs(model, model.groups, GROUPS, true);
    this.#recentSteps = bankMemorySteps(model) + MAX_TAKEN_BACK_STEPS;
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
    this.#strides = {
      features: model.horizon * this.columns,
      sequence: near * SEQUENCE_CHANNELS.length,
      context: model.horizon * (CONTEXT_CHANNELS.length + added.length),
    };
    this.#rows = this.#roomFor(0);
  }

  #roomFor(services: number): InputRows {
    const { features, sequence, context } = this.#strides;
    return {
      features: new Float32Array(services * features),
      featuresAt: 0,
      featuresWidth: this.columns,
      sequence: new Float32Array(services * sequence),
      sequenceAt: 0,
      context: new Float32Array(services * context),
      contextAt: 0,
      contextWidth: context / this.horizon,
      anchor: new Float64Array(services * this.horizon),
      anchorAt: 0,
      seasonalNaive: new Float32Array(this.horizon),
    };
  }

  feed(batch: Batch): Feeds {
    const { originMs, count, known } = batch;
    const world = known?.world ?? this.#nothing;
    const states = new Uint8Array(count);
    if (count > this.#scales.length) {
      this.#scales = new Float64Array(count);
      this.#rows = this.#roomFor(count);
    }
    const rows = this.#rows;
    const strides = this.#strides;
    let answered = 0;
    for (const id of batch.kept?.released ?? []) this.#pasts.delete(id);
    let told = 0;
    for (let i = 0; i < count; i++) {
      const length = batch.kept?.lengths[i] ?? batch.steps;
      const past = this.#pastOf(batch, i, told, told + length);
      told += length;
      if (past.length < this.#minPast) {
        states[i] = STATE.short;
        continue;
      }
      if (this.#isSilent(batch, i, told)) {
        states[i] = STATE.stale;
        continue;
      }
      const startMs = originMs - past.length * world.stepMs;
      const service = known?.services[i] ?? "";
      rows.featuresAt = answered * strides.features;
      rows.sequenceAt = answered * strides.sequence;
      rows.contextAt = answered * strides.context;
      rows.anchorAt = answered * this.horizon;
      this.#scales[answered++] = this.#inputs.prepare(past, startMs, service, world).fill(past.length, rows);
    }
    this.#answered = answered;
    const tensors: Feeds["tensors"] = {};
    for (const { name, dims } of this.#sizes)
      tensors[name] = { data: rows[name].subarray(0, answered * strides[name]), dims: [answered, ...dims] };
    return { tensors, states, answered };
  }

  /** The past of a service of a batch, which has tails[from … to) of it. */
  #pastOf({ tails, kept, originMs }: Batch, i: number, from: number, to: number): Past {
    const id = kept?.ids[i] ?? NOT_KEPT;
    const fromStep = kept?.fromSteps[i] ?? originMs / this.#nothing.stepMs - (to - from);
    if (kept?.whole[i] === 0) {
      const one = this.#pasts.get(id);
      if (one === undefined) throw new Error(`no past is kept under ${id}`);
      one.past.truncate(fromStep - one.startStep);
      one.past.append(tails, from, to);
      return one.past;
    }
    let first = from;
    // What lies before the first reading is no past: as zeros it would be learnt from.
    while (first < to && Number.isNaN(tails[first]!)) first++;
    const past = new Past(tails.subarray(first, to), this.#season, {
      capacity: to - first + (kept?.rooms[i] ?? 0),
      recentSteps: this.#recentSteps,
      firstStep: Math.max(0, fromStep + first - from),
    });
    if (id !== NOT_KEPT) this.#pasts.set(id, { past, startStep: fromStep + first - from });
    return past;
  }

  #isSilent({ tails, kept }: Batch, i: number, to: number): boolean {
    if (kept !== undefined) return kept.silent[i] === 1;
    return tails.subarray(to - this.#staleSteps, to).every(Number.isNaN);
  }

  read(output: Float32Array, values: Float64Array): void {
    const { horizon, levels } = this;
    const answered = this.#answered;
    const { anchor } = this.#rows;
    const wanted = answered * levels * horizon;
    if (output.length !== wanted) throw new Error(`the model gives ${output.length} values for ${wanted}`);
    for (let i = 0; i < answered; i++) {
      const scale = this.#scales[i]!;
      for (let h = 0; h < horizon; h++) {
        const from = anchor[i * horizon + h]!;
        for (let level = 0; level < levels; level++)
          // A rate is never negative; NaN stays NaN for the guard.
          values[(i * levels + level) * horizon + h] = Math.max(
            0,
            from + scale * output[(i * horizon + h) * levels + level]!,
          );
      }
    }
  }
}
