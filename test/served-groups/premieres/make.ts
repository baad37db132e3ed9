import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { processIo } from "../../../control/cli/io.ts";
import { run } from "../../../control/cli/train.ts";
import { readSignals } from "../../../control/ingest/covariates/dated-csv.ts";
import { videoLoadCsv } from "./video-load.ts";

/*
 * Trains the model of the example in docs/reference/features.md on the season before its last episode, by the pipeline's tree half, and leaves it
 * beside this file:
 *
 *     node test/served-groups/premieres/make.ts
 */
const here = import.meta.dirname;
const BEFORE_FINALE_MS = Date.UTC(2016, 5, 26);
const dir = await mkdtemp(join(tmpdir(), "ballast-premieres-"));
try {
  const signals = join(here, "signals.csv");
  const load = join(dir, "video.csv");
  await writeFile(load, videoLoadCsv(await readSignals(signals), BEFORE_FINALE_MS));
  const args = [
    "--history",
    load,
    "--signals",
    signals,
    "--groups",
    "velocity,signals",
    "--season",
    "day",
    "--pipeline",
    process.argv[2] ?? "trees",
  ];
  const model = join(dir, "model");
  process.exitCode = await run([...args, "--out", model, "--work", join(dir, "work")], processIo);
  const to = join(here, "model");
  for (const file of ["forecast.onnx", "manifest.json"]) await cp(join(model, file), join(to, file));
} finally {
  await rm(dir, { recursive: true, force: true });
}
