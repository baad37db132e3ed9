import { mkdir, readFile, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { BallastError } from "../../common/errors.ts";
import type { FeatureGroup } from "../../control/features/groups/group.ts";
import { trainingSource } from "../../control/features/groups/grouped-source.ts";
import type { World } from "../../control/features/groups/world.ts";
import type { SeriesShape } from "../../control/features/series/shape.ts";
import type { InputSource } from "../../control/features/series/training-examples.ts";
import {
  DEFAULT_EXAMPLES,
  type ExampleOptions,
  type TrainingSeries,
} from "../../control/features/series/training-examples.ts";
import { MANIFEST_FILE } from "../../control/forecast/model-file.ts";
import {
  beatsSeasonalNaive,
  type SeriesManifest,
  seriesManifestSchema,
} from "../../control/forecast/series/series-manifest.ts";
import { ModelFolder, unfit } from "../lib/model-folder.ts";
import { takeWorkFolder } from "../lib/work-folder.ts";
import { makeTrainingEnvironment, type TrainingEnvironment } from "../tfx/environment.ts";
import { makePythonEnvironment } from "../trees/environment.ts";
import { runProgress } from "./run-progress.ts";
import { FULL_EFFORT, type TrainingEffort, writeTrainingFiles } from "./training-spec.ts";

/** `tfx`: the whole pipeline, both halves. `trees`: the tree half in a plain virtual environment. `auto`: tfx where it can be made. */
export type PipelineChoice = "tfx" | "trees" | "auto";

export interface TrainSeriesOptions {
  shape: SeriesShape;
  /** Ascending, 0.5 among them. */
  levels: readonly number[];
  series: readonly TrainingSeries[];
  /** Length of a step of a model that a server is to ask. */
  stepMs?: number;
  /** Folder of the result; a series model that lies there is the one in use. Left alone when the gate refuses the model (tfx). */
  outDir: string;
  /** Folder of the model in use, where that is another. */
  beat?: string;
  /**
   * The model is for a server: TRAIN_NOT_BETTER, and `outDir` left alone, where one would refuse it or it is worse than the model in use, whatever
   * the pipeline. Default false: what a tree half alone makes is left there in any case, and says by its manifest how good it is.
   */
  toServe?: boolean;
  /** Folder of intermediate files; a second run with the same files goes on where the first stopped (tfx). */
  workDir: string;
  pipeline: PipelineChoice;
  /** Folder of the plain virtual environment. */
  venvDir: string;
  seed: number;
  effort?: TrainingEffort;
  examples?: Partial<ExampleOptions>;
  source?: InputSource;
  /** Feature groups beside the series' own past, and the world that they look at (its `loads` say when the series begin). */
  groups?: { chosen: readonly FeatureGroup[]; world: World };
  /** Folder of the inputs that the server was asked with (`ServedInputs`); those that moved are reported (tfx). */
  served?: string;
  progress: (text: string) => void;
}

export interface TrainedSeries {
  manifest: SeriesManifest;
  pipeline: "tfx" | "trees";
  /** False when the gate found it no better than the seasonal naive forecast, on error or on loss: a server would refuse it. */
  better: boolean;
}

const repo = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
/** Exit codes of the Python side. */
const NOT_BETTER = 3;
const LEAK = 4;

/**
 * Writes the training files, trains, and leaves forecast.onnx, manifest.json, golden.json and MODEL_CARD.md in `outDir`.
 * Errors: TRAIN_HISTORY_TOO_SHORT, TRAIN_LEAK, TRAIN_NOT_BETTER, TRAIN_FAILED, TRAIN_INTERRUPTED, TRAIN_FOLDER_UNFIT, TRAIN_BUSY, and those of the
 * environment that was asked for.
 */
export async function trainSeries(options: TrainSeriesOptions): Promise<TrainedSeries> {
  const { shape, levels, series, outDir, workDir, seed, progress } = options;
  const out = await ModelFolder.open(outDir, "series");
  await using _taken = await takeWorkFolder(workDir);
  const environment = await chooseEnvironment(options);
  const { groups } = options;
  const grouped =
    groups === undefined || groups.chosen.length === 0
      ? null
      : trainingSource(shape, groups.chosen, groups.world, series);
  const source = options.source ?? grouped;
  const files = join(workDir, "files");
  const spec = await writeTrainingFiles(files, {
    shape,
    levels,
    ...(options.stepMs === undefined ? {} : { stepMs: options.stepMs }),
    series,
    options: { ...DEFAULT_EXAMPLES, ...options.examples, seed },
    effort: options.effort ?? FULL_EFFORT,
    ...(source === null ? {} : { source }),
    ...(grouped === null ? {} : { groups: grouped.fitted }),
  });
  progress(
    `${spec.series.length} series, ${spec.examples.train} origins to learn from; no input knows what comes later`,
  );
  const { beat, served, toServe } = options;
  return await trainOnFiles(environment, { files, workDir, out, beat, served, toServe, progress });
}

/** The second half of `trainSeries`: trains on files that `writeTrainingFiles` wrote into `files`. */
export async function trainOnFiles(
  environment: Chosen,
  options: {
    files: string;
    workDir: string;
    out: ModelFolder;
    beat?: string | undefined;
    served?: string | undefined;
    toServe?: boolean | undefined;
    progress: (text: string) => void;
  },
): Promise<TrainedSeries> {
  const { progress, served, out, toServe = false } = options;
  const env = { PYTHONPATH: join(repo, "models/tfx"), PYTHONDONTWRITEBYTECODE: "1", OMP_NUM_THREADS: "1" };
  const [files, work] = [resolve(options.files), resolve(options.workDir)];
  // Made beside what lies in `out`, which is exchanged when all of it is there and was judged.
  const made = join(work, "made");
  if (resolve(out.path) === made)
    throw unfit(out.path, "is where a training makes its model; name another folder by --out");
  await rm(made, { recursive: true, force: true });
  await mkdir(made, { recursive: true });
  const serving = served === undefined ? [] : ["--served", resolve(served)];
  const inUse = await modelInUse(options.beat ?? out.path, out, progress);
  if (toServe && environment.kind === "trees" && inUse?.inputs.includes("sequence"))
    throw new BallastError(
      "TRAIN_FOLDER_UNFIT",
      `${inUse.folder}: the model in use has an LSTM, and the tree half alone cannot be held against it`,
      { hint: "Train with --pipeline tfx, or name another folder by --out." },
    );
  const blessed = inUse === null ? [] : ["--blessed", inUse.folder];
  const paths = ["--files", files, "--out", made, "--with-starter", ...blessed];
  const outcome =
    environment.kind === "tfx"
      ? await runProgress(environment.tfx, ["-m", "pipeline.run", ...paths, "--work", join(work, "tfx"), ...serving], {
          env,
          binds: [work, files, ...blessed.slice(1), ...serving.slice(1)],
          progress,
        })
      : await runProgress(environment.python, ["-m", "pipeline.plain", ...paths], { env, binds: [], progress });
  if (outcome.code === LEAK)
    throw new BallastError("TRAIN_LEAK", (outcome.errors.at(-1) ?? "").replace(/^.*LEAK: /, ""));
  const passed = outcome.code === 0;
  if (!passed && outcome.code !== NOT_BETTER)
    throw new BallastError("TRAIN_FAILED", `the pipeline ended with ${outcome.code}\n  ${outcome.errors.join("\n  ")}`);
  if (!passed && (toServe || environment.kind === "tfx"))
    throw new BallastError("TRAIN_NOT_BETTER", "the gate refused the model; nothing was replaced");
  const manifest = seriesManifestSchema.parse(JSON.parse(await readFile(join(made, MANIFEST_FILE), "utf8")));
  // The gate of the pipeline judges the loss; a server looks at the error of the median as well.
  const better = passed && beatsSeasonalNaive(manifest);
  if (toServe && !better)
    throw new BallastError(
      "TRAIN_NOT_BETTER",
      `MASE ${manifest.gate.model.mase.toFixed(4)} on the judged span, seasonal naive ${manifest.gate.seasonal_naive.mase.toFixed(4)}: a server would refuse it; nothing was replaced`,
    );
  await out.place(made);
  return { manifest, pipeline: environment.kind, better };
}

/** The series model that has to be beaten; null, with a line that says why, where none lies there that could be asked. */
async function modelInUse(
  named: string,
  out: ModelFolder,
  progress: (text: string) => void,
): Promise<{ folder: string; inputs: string[] } | null> {
  const { path, lying } = named === out.path ? out : await ModelFolder.look(named, "series");
  if (lying.model === "none" && path !== out.path)
    throw new BallastError("TRAIN_FOLDER_UNFIT", `${path}: there is no model that could be beaten`);
  if (lying.model === "damaged")
    progress(
      `the model in ${path} is damaged and is not asked (${lying.why}); the seasonal naive forecast alone is the bar`,
    );
  if (lying.model !== "whole") return null;
  const { inputs = [] } = JSON.parse(await readFile(join(path, MANIFEST_FILE), "utf8")) as { inputs?: string[] };
  return { folder: resolve(path), inputs };
}

/** Where the Python side runs. */
export type Chosen = { kind: "tfx"; tfx: TrainingEnvironment } | { kind: "trees"; python: string };

export async function chooseEnvironment({
  pipeline,
  venvDir,
  progress,
}: Pick<TrainSeriesOptions, "pipeline" | "venvDir" | "progress">): Promise<Chosen> {
  if (pipeline !== "trees") {
    try {
      return { kind: "tfx", tfx: await makeTrainingEnvironment({ progress }) };
    } catch (error) {
      const known = error instanceof BallastError && error.code.startsWith("TFX_");
      if (pipeline === "tfx" || !known) throw error;
      progress(`the whole pipeline cannot run here (${error.message}); training the tree half alone`);
    }
  }
  return { kind: "trees", python: await makePythonEnvironment(venvDir, progress) };
}
