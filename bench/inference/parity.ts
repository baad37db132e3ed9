import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";

/** Rows that training wrote with what the trained halves said of them, as the model kinds write them. */
type TreeGolden = { rows: (number | null)[][]; log_ratio: number[][] };
type SeriesGolden = { origins: number; steps: number; inputs: Record<string, number[]>; forecast: number[] };

/** Largest absolute difference between the golden rows of a model's folder and what the runtime that serves says of them. */
export async function parityOf(folder: string): Promise<number> {
  const json = async (name: string): Promise<unknown> => JSON.parse(await readFile(join(folder, name), "utf8"));
  const manifest = (await json("manifest.json")) as { model: string };
  const session = await InferenceSession.create(join(folder, manifest.model));
  if (existsSync(join(folder, "parity.json"))) {
    const { rows, log_ratio } = (await json("parity.json")) as TreeGolden;
    const data = Float32Array.from(rows.flat(), (value) => value ?? Number.NaN);
    return most(session, { features: new Tensor("float32", data, [rows.length, rows[0]!.length]) }, log_ratio.flat());
  }
  const { origins, inputs, forecast, steps } = (await json("golden.json")) as SeriesGolden;
  const shapes: Record<string, number[]> = {};
  for (const { name, ...about } of session.inputMetadata)
    if (about.isTensor)
      shapes[name] = about.shape.map((size, i) => (typeof size === "number" ? size : [origins, steps][i]!));
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, values]) => [
      name,
      new Tensor("float32", Float32Array.from(values), shapes[name]!),
    ]),
  );
  return most(session, feeds, forecast);
}

async function most(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  expected: readonly number[],
): Promise<number> {
  const [output] = Object.values(await session.run(feeds));
  const said = output!.data as Float32Array;
  if (said.length !== expected.length) throw new Error(`${said.length} values for ${expected.length} golden ones`);
  return expected.reduce((largest, value, i) => Math.max(largest, Math.abs(value - said[i]!)), 0);
}
