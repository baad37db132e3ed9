import { Worker } from "node:worker_threads";
import { GroupedInputs } from "../../features/groups/grouped-inputs.ts";
import type { World } from "../../features/groups/world.ts";
import { Past } from "../../features/series/past.ts";
import { type OriginInputs, SeriesFeatureBuilder } from "../../features/series/series-features.ts";
import { CONTEXT_CHANNELS, SEQUENCE_CHANNELS, SERIES_FEATURES } from "../../features/series/shape.ts";
import { FallbackError } from "../reasons.ts";
import { readSeriesModel, type SeriesManifest } from "./series-manifest.ts";
import type { SeriesMessage, SeriesRequest, SeriesWorkerInput } from "./series-worker.ts";

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
  readonly #worker: Worker;
  readonly #timeoutMs: number;
  readonly #waiting = new Map<
    number,
    { resolve: (message: SeriesMessage) => void; reject: (error: FallbackError) => void }
  >();
  #nextId = 1;
  #dead: FallbackError | null = null;

  private constructor(manifest: SeriesManifest, bytes: Uint8Array, timeoutMs: number) {
    this.manifest = manifest;
    this.#builder = new SeriesFeatureBuilder(manifest);
    this.#grouped = new GroupedInputs(manifest, manifest.groups);
    this.#timeoutMs = timeoutMs;
    this.#worker = new Worker(new URL("./series-worker.ts", import.meta.url), {
      workerData: { bytes } satisfies SeriesWorkerInput,
      execArgv: [],
    });
    this.#worker.on("message", (message: SeriesMessage) => {
      const id = message.type === "result" || message.type === "error" ? message.id : 0;
      this.#waiting.get(id)?.resolve(message);
    });
    this.#worker.on("error", (cause) => this.#die(new FallbackError("INFERENCE_FAILED", String(cause), cause)));
    this.#worker.on("exit", () => this.#die(new FallbackError("INFERENCE_FAILED", "the inference worker ended")));
    this.#worker.unref();
  }

  /** Throws FallbackError: the folder, its manifest, its file or this build's features do not fit, or the engine is absent. */
  static async open(folder: string, options: SeriesModelOptions = {}): Promise<SeriesModel> {
    const { manifest, bytes } = await readSeriesModel(folder);
    const model = new SeriesModel(manifest, bytes, options.timeoutMs ?? 10_000);
    const message = await model.#ask(0, options.loadTimeoutMs ?? 30_000, () => {});
    if (message.type === "failed") {
      model.close();
      throw new FallbackError(message.code, message.text);
    }
    return model;
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
    this.#die(new FallbackError("INFERENCE_FAILED", "the model was closed"));
  }

  async #batch(origins: readonly Origin[]): Promise<Float64Array[][]> {
    const { season, horizon, levels, inputs: names } = this.manifest;
    const built = origins.map(({ values, origin = values.length, within }) => {
      if (origin < this.#builder.minPast)
        throw new FallbackError(
          "HISTORY_TOO_SHORT",
          `${origin} steps of past; the model needs ${this.#builder.minPast}`,
        );
      const past = new Past(values, season);
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
    const inputs: SeriesRequest["inputs"] = {};
    for (const name of names) {
      const dims = [origins.length, ...sizes[name]!];
      const data = new Float32Array(dims.reduce((product, size) => product * size, 1));
      for (const [i, one] of built.entries()) data.set(one[name], (i * data.length) / origins.length);
      inputs[name] = { data, dims };
    }
    const id = this.#nextId++;
    const buffers = Object.values(inputs).map(({ data }) => data.buffer as ArrayBuffer);
    const message = await this.#ask(id, this.#timeoutMs, () =>
      this.#worker.postMessage({ id, inputs } satisfies SeriesRequest, buffers),
    );
    if (message.type !== "result")
      throw new FallbackError("INFERENCE_FAILED", message.type === "error" ? message.text : message.type);
    if (message.values.length !== origins.length * horizon * levels.length)
      throw new FallbackError("INFERENCE_FAILED", `the model gave ${message.values.length} values`);
    return built.map((one, i) =>
      this.#quantiles(one, origins[i]!, message.values.subarray(i * horizon * levels.length)),
    );
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

  #ask(id: number, timeoutMs: number, send: () => void): Promise<SeriesMessage> {
    if (this.#dead !== null) return Promise.reject(this.#dead);
    this.#worker.ref();
    return new Promise<SeriesMessage>((resolve, reject) => {
      const timer = setTimeout(
        () => this.#die(new FallbackError("INFERENCE_TIMEOUT", `no answer from the model within ${timeoutMs} ms`)),
        timeoutMs,
      );
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        if (this.#waiting.size === 0) this.#worker.unref();
      };
      this.#waiting.set(id, {
        resolve: (message) => {
          settle();
          resolve(message);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      send();
    });
  }

  #die(error: FallbackError): void {
    if (this.#dead !== null) return;
    this.#dead = error;
    for (const { reject } of [...this.#waiting.values()]) reject(error);
    void this.#worker.terminate();
  }
}
