/**
 * Trains the committed risk model on the generated world and leaves it in a folder:
 *
 *     node models/risk/train-committed.ts [FOLDER]        default: models/committed/risk
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ModelFolder } from "../lib/model-folder.ts";
import { makePythonEnvironment } from "../trees/environment.ts";
import { trainRisk } from "./train-risk.ts";
import { DEFAULT_WORLD, makeWorld } from "./world/world.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const progress = (text: string): void => void process.stderr.write(`${text}\n`);
const out = await ModelFolder.open(process.argv[2] ?? join(root, "models/committed/risk"), "change-risk");
const work = join(root, ".ballast/work/risk");
const made = join(work, "made");
const { records, targets } = makeWorld();
const python = await makePythonEnvironment(join(root, ".ballast/venv"), progress);
const { manifest, refusal } = await trainRisk({
  records,
  targets,
  source: `A generated company (models/risk/world, seed ${DEFAULT_WORLD.seed}), not a real one`,
  outDir: made,
  workDir: join(work, "files"),
  python,
  seed: 1,
  progress,
});
await out.place(made);
process.stdout.write(`${JSON.stringify(manifest.test)}\n${refusal ?? "may be served"}\n`);
