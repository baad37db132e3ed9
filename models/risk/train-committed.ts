/**
 * Trains the committed risk model on the generated world and leaves it in a folder:
 *
 *     node models/risk/train-committed.ts [FOLDER]        default: models/committed/risk
 */
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { sealed } from "../../control/forecast/manifest-seal.ts";
import { MANIFEST_FILE } from "../../control/forecast/model-file.ts";
import { makePythonEnvironment } from "../trees/environment.ts";
import { trainRisk } from "./train-risk.ts";
import { DEFAULT_WORLD, makeWorld } from "./world/world.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const progress = (text: string): void => void process.stderr.write(`${text}\n`);
const outDir = process.argv[2] ?? join(root, "models/committed/risk");
const { records, targets } = makeWorld();
const python = await makePythonEnvironment(join(root, ".ballast/venv"), progress);
const { manifest, refusal } = await trainRisk({
  records,
  targets,
  source: `A generated company (models/risk/world, seed ${DEFAULT_WORLD.seed}), not a real one`,
  outDir,
  workDir: join(root, ".ballast/work/risk"),
  python,
  seed: 1,
  progress,
});
const path = join(outDir, MANIFEST_FILE);
await writeFile(path, sealed(await readFile(path, "utf8")));
process.stdout.write(`${JSON.stringify(manifest.test)}\n${refusal ?? "may be served"}\n`);
