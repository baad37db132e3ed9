/**
 * Trains the model that bench/forecast scores, on the span before its test windows, and leaves it in a folder:
 *
 *     node bench/forecast/train-robot-shop.ts [FOLDER]        default: models/committed/robot-shop
 */
import { loadWindows } from "./gift-eval.ts";
import { COMMITTED, trainRobotShop } from "./robot-shop-model.ts";

const startedMs = performance.now();
const progress = (text: string): void => {
  process.stderr.write(`${((performance.now() - startedMs) / 1000).toFixed(0).padStart(5)} s  ${text}\n`);
};
const { manifest } = await trainRobotShop(loadWindows(), {
  outDir: process.argv[2] ?? COMMITTED,
  pipeline: "tfx",
  seed: 1,
  progress,
});
process.stdout.write(`${JSON.stringify(manifest.gate, null, 1)}\n`);
