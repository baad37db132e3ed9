import { FeatureBuilder, fromTarget, type OriginScale } from "../../features/feature-builder.ts";
import { FEATURE_HISTORY_STEPS, FEATURES, HORIZON_STEPS } from "../../features/schema.ts";
import { SeriesWindow } from "../../features/series-window.ts";
import { type Batch, type Feeds, type ModelKind, STATE } from "./model-kind.ts";

const STRIDE = HORIZON_STEPS * FEATURES.length;

/** The demand model: one row per service and step ahead, its output a log ratio to the recent level. */
export class DemandKind implements ModelKind {
  readonly output = "log_ratio";
  readonly horizon = HORIZON_STEPS;
  readonly columns = FEATURES.length;
  readonly columnNames = FEATURES.map(({ name }) => name);
  readonly levels: number;
  readonly #builder = new FeatureBuilder();
  readonly #window = new SeriesWindow(new Float64Array(FEATURE_HISTORY_STEPS));
  #scales: OriginScale[] = [];

  constructor(levels: number) {
    this.levels = levels;
  }

  feed({ originMs, count, steps, tails }: Batch): Feeds {
    const states = new Uint8Array(count);
    const rows = new Float32Array(count * STRIDE);
    this.#scales = [];
    for (let i = 0; i < count; i++) {
      const end = (i + 1) * steps;
      this.#window.load(tails.subarray(end - FEATURE_HISTORY_STEPS, end));
      const at = this.#scales.length * STRIDE;
      const scale = this.#builder.build(this.#window, FEATURE_HISTORY_STEPS, originMs, rows, at);
      if (typeof scale === "string") states[i] = STATE[scale];
      else this.#scales.push(scale);
    }
    const answered = this.#scales.length;
    const data = answered === count ? rows : rows.slice(0, answered * STRIDE);
    return {
      tensors: { features: { data, dims: [answered * HORIZON_STEPS, FEATURES.length] } },
      states,
      answered,
    };
  }

  read(output: Float32Array, values: Float64Array): void {
    const wanted = this.#scales.length * this.levels * HORIZON_STEPS;
    if (output.length !== wanted) throw new Error(`the model gives ${output.length} values for ${wanted}`);
    for (const [i, scale] of this.#scales.entries())
      for (let h = 0; h < HORIZON_STEPS; h++)
        for (let level = 0; level < this.levels; level++)
          values[(i * this.levels + level) * HORIZON_STEPS + h] = fromTarget(
            output[(i * HORIZON_STEPS + h) * this.levels + level]!,
            scale,
          );
  }
}
