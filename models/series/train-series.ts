import { mkdir, readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { BallastError } from "../../common/errors.ts";
import type { FeatureGroup } from "../../control/features/groups/group.ts";
import { type GroupedSource, groupedSource } from "../../control/features/groups/grouped-source.ts";
import type { World } from "../../control/features/groups/world.ts";
import type { SeriesShape } from "../../control/features/series/shape.ts";
import type { InputSource } from "../../control/features/series/training-examples.ts";
import {
  DEFAULT_EXAMPLES,
  type ExampleOptions,
  splitSpans,
  type TrainingSeries,
} from "../../control/features/series/training-examples.ts";
import { MANIFEST_FILE } from "../../control/forecast/model-file.ts";
import { type SeriesManifest, seriesManifestSchema } from "../../control/forecast/series/series-manifest.ts";
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
  /** Folder of the result. Left alone when the gate refuses the model (tfx). */
  outDir: string;
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
  /** False when the gate found it no better than the seasonal naive forecast (trees only: tfx refuses by TRAIN_NOT_BETTER). */
  better: boolean;
}

const repo = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
/** Exit codes of the Python side. */
const NOT_BETTER = 3;
const LEAK = 4;

/**
 * Writes the training files, trains, and leaves forecast.onnx, manifest.json, golden.json and MODEL_CARD.md in `outDir`.
 * Errors: TRAIN_HISTORY_TOO_SHORT, TRAIN_LEAK, TRAIN_NOT_BETTER, TRAIN_FAILED, and those of the environment that was asked for.
 */
export async function trainSeries(options: TrainSeriesOptions): Promise<TrainedSeries> {
  const { shape, levels, series, outDir, workDir, seed, progress } = options;
  const environment = await chooseEnvironment(options);
  const { groups } = options;
  const grouped = groups === undefined || groups.chosen.length === 0 ? null : sourceOf(shape, groups, series);
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
  return await trainOnFiles(environment, {
    files,
    workDir,
    outDir,
    served: options.served,
    progress,
  });
}

/** Groups are fitted on what was known when the first training span ends, which is before every held-out span. */
function sourceOf(
  shape: SeriesShape,
  { chosen, world }: { chosen: readonly FeatureGroup[]; world: World },
  series: readonly TrainingSeries[],
): GroupedSource {
  const starts = new Map([...(world.loads ?? [])].map(([name, { startMs }]) => [name, startMs]));
  const ends = series.flatMap(({ name, values }) => {
    const spans = splitSpans(shape, values.length);
    const startMs = starts.get(name);
    return spans === null || startMs === undefined ? [] : [startMs + spans.train[1] * world.stepMs];
  });
  return groupedSource(shape, chosen, world, starts, Math.min(...ends));
}

/** The second half of `trainSeries`: trains on files that `writeTrainingFiles` wrote into `files`. */
export async function trainOnFiles(
  environment: Chosen,
  options: {
    files: string;
    workDir: string;
    outDir: string;
    served?: string | undefined;
    progress: (text: string) => void;
  },
): Promise<TrainedSeries> {
  const { progress, served } = options;
  const env = { PYTHONPATH: join(repo, "models/tfx"), PYTHONDONTWRITEBYTECODE: "1", OMP_NUM_THREADS: "1" };
  const [files, work, out] = [options.files, options.workDir, options.outDir].map((path) => resolve(path)) as [
    string,
    string,
    string,
  ];
  // It must be there to be bound into the root of the pipeline.
  await mkdir(out, { recursive: true });
  const serving = served === undefined ? [] : ["--served", resolve(served)];
  const paths = ["--files", files, "--out", out];
  // What lies where the result goes is what it would replace: it has to be beaten.
  const blessed = (await holdsSeriesModel(out)) ? ["--blessed", out] : [];
  const outcome =
    environment.kind === "tfx"
      ? await runProgress(
          environment.tfx,
          ["-m", "pipeline.run", ...paths, "--work", join(work, "tfx"), ...serving, ...blessed],
          {
            env,
            binds: [work, files, out, ...serving.slice(1)],
            progress,
          },
        )
      : await runProgress(environment.python, ["-m", "pipeline.plain", ...paths], { env, binds: [], progress });
  if (outcome.code === LEAK)
    throw new BallastError("TRAIN_LEAK", (outcome.errors.at(-1) ?? "").replace(/^.*LEAK: /, ""));
  const better = outcome.code === 0;
  if (outcome.code === NOT_BETTER && environment.kind === "tfx")
    throw new BallastError("TRAIN_NOT_BETTER", "the gate refused the model; nothing was replaced");
  if (!better && outcome.code !== NOT_BETTER)
    throw new BallastError("TRAIN_FAILED", `the pipeline ended with ${outcome.code}\n  ${outcome.errors.join("\n  ")}`);
  const manifest = seriesManifestSchema.parse(JSON.parse(await readFile(join(out, MANIFEST_FILE), "utf8")));
  return { manifest, pipeline: environment.kind, better };
}

async function holdsSeriesModel(folder: string): Promise<boolean> {
  try {
    return JSON.parse(await readFile(join(folder, MANIFEST_FILE), "utf8")).kind === "series";
  } catch {
    return false;
  }
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
