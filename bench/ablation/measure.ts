import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { BallastError } from "../../common/errors.ts";
import { groupNamed } from "../../control/features/groups/grouped-inputs.ts";
import { trainingSource } from "../../control/features/groups/grouped-source.ts";
import {
  DEFAULT_EXAMPLES,
  type ExampleOptions,
  type TrainingSeries,
} from "../../control/features/series/training-examples.ts";
import { pinball } from "../../control/forecast/scores/metrics.ts";
import { runProgress } from "../../models/series/run-progress.ts";
import { ROW_ADDS } from "../../models/series/split-writer.ts";
import { type TrainingSpec, writeTrainingFiles } from "../../models/series/training-spec.ts";
import { ROOT } from "../lib/native-build.ts";
import type { Case } from "./case.ts";
import { compare, type Difference, type Loss } from "./difference.ts";

export const LEVELS = [0.1, 0.5, 0.9, 0.99];

export interface Effort {
  examples: Partial<ExampleOptions>;
  maxRounds: number;
}
export const FULL: Effort = {
  examples: { copies: 4, originsPerCopy: 1_500, originsPerHeldOut: 1_200 },
  maxRounds: 100,
};
export const QUICK: Effort = { examples: { copies: 1, originsPerCopy: 900, originsPerHeldOut: 400 }, maxRounds: 40 };

/** What a model said on the span that nothing was fitted on. */
interface Judged {
  forecasts: Float32Array;
  targets: Float32Array;
  about: { origin: number[]; scale: number[]; absolute: number[] };
}

export interface Measured {
  group: string;
  difference: Difference;
  blocks: number;
  origins: number;
}

/**
 * Trains the tree half once without any group and once with each group of a case, on the same origins of the same series by the same
 * code that serves, and compares them on the judged span.
 */
export async function measure(
  python: string,
  one: Case,
  effort: Effort,
  scratch: string,
  progress: (text: string) => void,
): Promise<Measured[]> {
  const without = await judge(python, one, null, effort, join(scratch, "without"), progress);
  const measured: Measured[] = [];
  for (const group of one.groups) {
    const with_ = await judge(python, one, group, effort, join(scratch, group), progress);
    const losses = lossesOf(without, with_);
    const blockSteps = Math.max(one.shape.horizon, Math.round(one.shape.season / 4));
    const blocks = new Set(losses.map(({ origin }) => Math.floor(origin / blockSteps))).size;
    measured.push({ group, difference: compare(losses, blockSteps), blocks, origins: losses.length });
  }
  return measured;
}

async function judge(
  python: string,
  one: Case,
  group: string | null,
  effort: Effort,
  dir: string,
  progress: (text: string) => void,
): Promise<Judged> {
  const { shape, world } = one;
  const series = one.services.map((name): TrainingSeries => ({ name, values: world.loads!.get(name)!.values }));
  const source = group === null ? null : trainingSource(shape, [groupNamed(group)!], world, series);
  const examples = { ...DEFAULT_EXAMPLES, ...effort.examples };
  // Several series share the origins that one would have alone.
  const share = Math.max(1, series.length);
  const spec = await writeTrainingFiles(join(dir, "files"), {
    shape,
    levels: LEVELS,
    series,
    options: {
      ...examples,
      originsPerCopy: Math.ceil(examples.originsPerCopy / share),
      originsPerHeldOut: Math.ceil(examples.originsPerHeldOut / share),
    },
    effort: { trials: 0, maxRounds: effort.maxRounds, maxEpochs: 1, blends: [0], parityRows: 500 },
    ...(source === null ? {} : { source, groups: source.fitted }),
  });
  const forecasts = join(dir, "forecasts.bin");
  const args = [
    "-m",
    "pipeline.plain",
    "--files",
    join(dir, "files"),
    "--out",
    join(dir, "model"),
    "--forecasts",
    forecasts,
  ];
  const env = { PYTHONPATH: join(ROOT, "models/tfx"), PYTHONDONTWRITEBYTECODE: "1", OMP_NUM_THREADS: "1" };
  const { code, errors } = await runProgress(python, args, { env, binds: [], progress: () => {} });
  // 3: no better than the seasonal naive forecast, which is no matter here.
  if (code !== 0 && code !== 3)
    throw new BallastError("TRAIN_FAILED", `${one.name}: ended with ${code}\n  ${errors.join("\n  ")}`);
  progress(`${one.name}: ${group ?? "without groups"}`);
  const judged = { forecasts: await floats(forecasts), ...(await targetsOf(join(dir, "files"), spec)) };
  await rm(dir, { recursive: true, force: true });
  return judged;
}

async function targetsOf(files: string, spec: TrainingSpec): Promise<Pick<Judged, "targets" | "about">> {
  const rows = await floats(join(files, "rows/gate.bin"));
  const width = spec.features.length + ROW_ADDS;
  const targets = new Float32Array(rows.length / width);
  for (let i = 0; i < targets.length; i++) targets[i] = rows[i * width + spec.features.length]!;
  return { targets, about: JSON.parse(await readFile(join(files, "rows/gate.json"), "utf8")) };
}

async function floats(path: string): Promise<Float32Array> {
  return new Float32Array(new Uint8Array(await readFile(path)).buffer);
}

function lossesOf(without: Judged, with_: Judged): Loss[] {
  const { origin, scale, absolute } = without.about;
  if (JSON.stringify(without.about) !== JSON.stringify(with_.about))
    throw new Error("the two models were judged on other origins");
  const steps = without.targets.length / origin.length;
  const median = LEVELS.indexOf(0.5);
  const lost = ({ forecasts, targets }: Judged, i: number): [number, number] => {
    let quantile = 0;
    let error = 0;
    for (let k = i * steps; k < (i + 1) * steps; k++)
      for (const [q, level] of LEVELS.entries()) {
        const said = forecasts[k * LEVELS.length + q]!;
        quantile += (2 * pinball(level, targets[k]!, said)) / LEVELS.length;
        if (q === median) error += Math.abs(targets[k]! - said) / steps;
      }
    return [quantile * scale[i]!, error];
  };
  return origin.map((at, i) => {
    const [a, b] = [lost(without, i), lost(with_, i)];
    return { origin: at, quantile: [a[0], b[0]], absolute: absolute[i]!, mase: [a[1], b[1]] };
  });
}
