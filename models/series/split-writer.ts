import { type FileHandle, mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TrainingExample } from "../../control/features/series/training-examples.ts";
import { encodeExample, type FeatureValue } from "../records/tf-example.ts";
import { TfRecordWriter } from "../records/tfrecord.ts";

/** Numbers of a plain row behind its features: target, seasonal naive. */
export const ROW_ADDS = 2;

/**
 * One split, as TFRecords, as plain float32 rows [features, target, seasonal naive], one per drawn horizon step, and as JSON what
 * stands beside the rows: origin, series, unit and slices of each example.
 */
export class SplitWriter {
  readonly #records: TfRecordWriter;
  readonly #rows: FileHandle;
  readonly #aboutPath: string;
  readonly #columns: readonly string[];
  readonly #about = {
    origin: [] as number[],
    scale: [] as number[],
    absolute: [] as number[],
    slices: {} as Record<string, string[]>,
  };

  private constructor(records: TfRecordWriter, rows: FileHandle, aboutPath: string, columns: readonly string[]) {
    this.#records = records;
    this.#rows = rows;
    this.#aboutPath = aboutPath;
    this.#columns = columns;
  }

  static async open(dir: string, folder: string, rowsName: string, columns: readonly string[]): Promise<SplitWriter> {
    await mkdir(join(dir, folder), { recursive: true });
    await mkdir(join(dir, "rows"), { recursive: true });
    const rows = await open(join(dir, "rows", `${rowsName}.bin`), "w");
    const records = new TfRecordWriter(join(dir, folder, "data.tfrecord"));
    return new SplitWriter(records, rows, join(dir, "rows", `${rowsName}.json`), columns);
  }

  async write(example: TrainingExample): Promise<void> {
    await this.#records.write(encodeExample(toFeatures(example, this.#columns)));
    const { inputs, steps, target, origin, series, injected, slices } = example;
    const columns = this.#columns.length;
    const width = columns + ROW_ADDS;
    const rows = new Float32Array(steps.length * width);
    let absolute = 0;
    for (const [i, step] of steps.entries()) {
      rows.set(inputs.features.subarray(step * columns, (step + 1) * columns), i * width);
      rows.set([target[step]!, inputs.seasonalNaive[step]!], i * width + columns);
      absolute += Math.abs(inputs.anchor[step]! + inputs.scale * target[step]!);
    }
    await this.#rows.write(new Uint8Array(rows.buffer));
    this.#about.origin.push(origin);
    this.#about.scale.push(inputs.scale);
    this.#about.absolute.push(absolute);
    for (const [name, value] of Object.entries({ series, injected: injected ? "1" : "0", ...slices })) {
      const values = this.#about.slices[name] ?? [];
      this.#about.slices[name] = values;
      values.push(value);
    }
  }

  async close(): Promise<void> {
    await this.#records.close();
    await this.#rows.close();
    await writeFile(this.#aboutPath, JSON.stringify(this.#about));
  }
}

function toFeatures(
  { series, origin, injected, slices, inputs, steps, target }: TrainingExample,
  names: readonly string[],
) {
  const features = new Map<string, FeatureValue>();
  const columns = names.length;
  for (const [column, name] of names.entries())
    features.set(
      `x_${name}`,
      Float32Array.from(steps, (step) => inputs.features[step * columns + column]!),
    );
  features.set("sequence", inputs.sequence);
  features.set("context", inputs.context);
  features.set("target", target);
  features.set(
    "seasonal_naive",
    Float32Array.from(steps, (step) => inputs.seasonalNaive[step]!),
  );
  features.set("origin", [BigInt(origin)]);
  features.set("injected", [injected ? 1n : 0n]);
  features.set("series", [series]);
  for (const [name, value] of Object.entries(slices)) features.set(name, [value]);
  return features;
}
