import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { processIo } from "../../control/cli/io.ts";
import { run } from "../../control/cli/train.ts";
import { ESTATE, writeTrainingFiles } from "./six-groups.ts";

/*
 * Trains the small model of the test on all six feature groups, by the real exporter, and leaves it beside this file:
 *
 *     node test/served-groups/make.ts
 */
const dir = await mkdtemp(join(tmpdir(), "ballast-six-groups-"));
try {
  const config = await writeTrainingFiles(dir);
  const model = join(dir, "model");
  const args = [
    "--config",
    config,
    "--estate",
    ESTATE,
    "--groups",
    "all",
    "--season",
    "day",
    "--pipeline",
    "trees",
    "--quick",
  ];
  const code = await run([...args, "--out", model, "--work", join(dir, "work")], processIo);
  for (const file of ["forecast.onnx", "manifest.json"])
    await cp(join(model, file), join(import.meta.dirname, "model", file));
  process.exitCode = code;
} finally {
  await rm(dir, { recursive: true, force: true });
}
