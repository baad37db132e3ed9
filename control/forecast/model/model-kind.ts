import type { FeatureStatistics } from "../../features/feature-statistics.ts";
import type { FittedGroup } from "../../features/groups/grouped-inputs.ts";
import type { World } from "../../features/groups/world.ts";

/** What of a model the inference worker has to know. Plain data: it goes to a thread. */
export type WorkerModel =
  /** Trees on the five-minute features (control/features). */
  | { kind: "demand"; levels: readonly number[]; statistics: FeatureStatistics | null }
  /** Of the training pipeline, for any season and horizon (control/features/series). */
  | {
      kind: "series";
      season: number;
      horizon: number;
      stepMs: number;
      /** Of the manifest. */
      groups: readonly FittedGroup[];
      levels: readonly number[];
      inputs: readonly ("features" | "sequence" | "context")[];
      statistics: FeatureStatistics | null;
    };

/** Services whose demand is asked for together: their complete steps before `originMs`, oldest first, NaN = missing. */
export interface Batch {
  originMs: number;
  count: number;
  /** Per service. */
  steps: number;
  /** [service][step]. */
  tails: Float64Array;
  /** For a model whose worker keeps the pasts: what of them is told. `steps` is nought then. */
  kept?: KeptSpans;
  /** For a model with feature groups: the names, and what is known of these services beside their past. */
  known?: { services: readonly string[]; world: World };
}

/** Per service of a batch, what is told of its past; the steps stand in `tails` one service after the other and end at the origin. */
export interface KeptSpans {
  /** Under which the worker keeps the past; NOT_KEPT: it does not. */
  ids: Int32Array;
  /** Number of the first step that is told, counted from the Unix epoch, and how many there are. */
  fromSteps: Float64Array;
  lengths: Int32Array;
  /** 1: it is all of the past. 0: it continues what is kept from there. */
  whole: Uint8Array;
  /** Steps that a past told whole will be continued by. */
  rooms: Int32Array;
  /** 1: no reading in the last hour. */
  silent: Uint8Array;
  /** Numbers of pasts that are not needed any more. */
  released: readonly number[];
}

/** Why a service of a batch has no answer. */
export const STATE = { answered: 0, short: 1, stale: 2 } as const;

/** What the engine is fed with for the services that can be answered, in their order. */
export interface Feeds {
  tensors: Record<string, { data: Float32Array; dims: number[] }>;
  /** Per service of the batch: a STATE. */
  states: Uint8Array;
  answered: number;
}

/** What is particular about a kind of model. Pure, but for memory that is kept from batch to batch. */
export interface ModelKind {
  /** Name of the model's output. */
  readonly output: string;
  readonly levels: number;
  readonly horizon: number;
  /** Numbers per row of the `features` tensor, and rows per service. */
  readonly columns: number;
  readonly columnNames: readonly string[];
  feed(batch: Batch): Feeds;
  /**
   * Writes requests per second, [answered service][level][step], from the output of the batch that was fed last. Values are what the model said: they
   * may cross, be NaN or far off, and are judged by the guard.
   */
  read(output: Float32Array, values: Float64Array): void;
}
