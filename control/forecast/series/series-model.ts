import { GroupedInputs } from "../../features/groups/grouped-inputs.ts";
import type { World } from "../../features/groups/world.ts";
import { Past } from "../../features/series/past.ts";
import { type OriginInputs, SeriesFeatureBuilder } from "../../features/series/series-features.ts";
import { CONTEXT_CHANNELS, SEQUENCE_CHANNELS, SERIES_FEATURES } from "../../features/series/shape.ts";
import { FallbackError } from "../reasons.ts";
import { WorkerSession } from "../worker/worker-session.ts";
import { readSeriesModel, type SeriesManifest } from "./series-manifest.ts";
import type { SeriesRequest } from "./series-worker.ts";

export interface SeriesModelOptions {
  /** Limit for loading, milliseconds. Default 30,000. */
  loadTimeoutMs?: number;
  /** Limit for one call of `forecast`, milliseconds. Default 10,000. */
  timeoutMs?: number;
}

/** A point in a series that is to be continued: everything before `origin` is known. */
export interface Origin {
  values: ArrayLike<number>;
  /** Default: the end of the values. */
  origin?: number;
  /** What the model's feature groups look at, and which series of that world this is; needed by a model with groups. */
  within?: { world: World; service: string; startMs: number };
}

type SeriesSession = WorkerSession<{ bytes: Uint8Array }, SeriesRequest, Float32Array>;

/** Origins that go to the engine in one call. */
const MAX_BATCH = 512;
/** A quantile further from everything seen than this many ranges of the past is refused. */
const MAX_RANGES = 10;

/**
 * A trained series model, its inference in a worker thread. Answers are finite, ordered by level and within ten ranges of what the
 * series has shown; anything else is refused as OUTPUT_GUARD so that the caller falls back.
 */
export class SeriesModel {
  readonly manifest: SeriesManifest;
  readonly #builder: SeriesFeatureBuilder;
  readonly #grouped: GroupedInputs;
  readonly #session: SeriesSession;

  private constructor(manifest: SeriesManifest, session: SeriesSession) {
    this.manifest = manifest;
    this.#builder = new SeriesFeatureBuilder(manifest);
    this.#grouped = new GroupedInputs(manifest, manifest.groups);
    this.#session = session;
  }

  /** Throws FallbackError: the folder, its manifest, its file or this build's features do not fit, or the engine is absent. */
  static async open(folder: string, options: SeriesModelOptions = {}): Promise<SeriesModel> {
    const { manifest, bytes } = await readSeriesModel(folder);
    const session: SeriesSession = await WorkerSession.open({
      input: { bytes },
      loadTimeoutMs: options.loadTimeoutMs ?? 30_000,
      timeoutMs: options.timeoutMs ?? 10_000,
      workerMemoryMb: 64,
      workerUrl: new URL("./series-worker.ts", import.meta.url),
    });
    return new SeriesModel(manifest, session);
  }

  get minPastSteps(): number {
    return this.#builder.minPast;
  }

  /** Quantiles per origin, [level][step], in the series' own unit. Throws FallbackError. */
  async forecast(origins: readonly Origin[]): Promise<Float64Array[][]> {
    const answers: Float64Array[][] = [];
    for (let at = 0; at < origins.length; at += MAX_BATCH)
      answers.push(...(await this.#batch(origins.slice(at, at + MAX_BATCH))));
    return answers;
  }

  close(): void {
    this.#session.close();
  }

  async #batch(origins: readonly Origin[]): Promise<Float64Array[][]> {
    const { season, horizon, levels, inputs: names } = this.manifest;
    const built = origins.map(({ values, origin = values.length, within }) => {
      if (origin < this.#builder.minPast)
        throw new FallbackError(
          "HISTORY_TOO_SHORT",
          `${origin} steps of past; the model needs ${this.#builder.minPast}`,
        );
      // In time, as training and serving have it; a series without a time is counted from its start.
      const firstStep = within === undefined ? 0 : Math.floor(within.startMs / within.world.stepMs);
      const past = new Past(values, season, { firstStep });
      if (this.manifest.groups.length === 0) return this.#builder.at(past, origin);
      if (within === undefined)
        throw new FallbackError("COVARIATES_MISSING", "the model has feature groups, and nothing was given for them");
      return this.#grouped.prepare(past, within.startMs, within.service, within.world).at(origin);
    });
    const sizes: Record<string, number[]> = {
      features: [horizon, SERIES_FEATURES.length + this.#grouped.columns.length],
      sequence: [this.#builder.spans.near, SEQUENCE_CHANNELS.length],
      context: [horizon, CONTEXT_CHANNELS.length + this.#grouped.columns.length],
    };
    const inputs: SeriesRequest = {};
    for (const name of names) {
      const dims = [origins.length, ...sizes[name]!];
      const data = new Float32Array(dims.reduce((product, size) => product * size, 1));
      for (const [i, one] of built.entries()) data.set(one[name], (i * data.length) / origins.length);
      inputs[name] = { data, dims };
    }
    const buffers = Object.values(inputs).map(({ data }) => data.buffer as ArrayBuffer);
    const values = await this.#session.run(inputs, buffers);
    if (values.length !== origins.length * horizon * levels.length)
      throw new FallbackError("INFERENCE_FAILED", `the model gave ${values.length} values`);
    return built.map((one, i) => this.#quantiles(one, origins[i]!, values.subarray(i * horizon * levels.length)));
  }

  #quantiles({ anchor, scale }: OriginInputs, { values, origin = values.length }: Origin, said: Float32Array) {
    const { horizon, levels } = this.manifest;
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < origin; i++) {
      const value = values[i]!;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const room = MAX_RANGES * Math.max(high - low, scale);
    // A series that never fell below nought is a rate or a duration: it will not.
    const floor = low >= 0 ? 0 : low - room;
    return levels.map((_, q) =>
      Float64Array.from({ length: horizon }, (_, h) => {
        const value = anchor[h]! + scale * said[h * levels.length + q]!;
        if (!(value >= low - room && value <= high + room))
          throw new FallbackError("OUTPUT_GUARD", `a quantile of ${value} where the past lies in ${low} … ${high}`);
        return Math.max(floor, value);
      }),
    );
  }
}
