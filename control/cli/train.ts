import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { demandSeries } from "../../models/series/demand-series.ts";
import { type PipelineChoice, trainSeries } from "../../models/series/train-series.ts";
import { makePythonEnvironment } from "../../models/trees/environment.ts";
import { type TrainResult, trainModel } from "../../models/trees/train-model.ts";
import { loadConfig } from "../config/load-config.ts";
import { buildEstate } from "../estate/build-estate.ts";
import type { Estate } from "../estate/estate.ts";
import type { LoadHistory } from "../features/load-history.ts";
import { FEATURE_STEP_MS, HORIZON_STEPS, STEPS_PER_DAY } from "../features/schema.ts";
import { DEFAULT_LEVELS } from "../forecast/forecaster.ts";
import { readLoadHistoryCsv } from "../ingest/load-history-csv.ts";
import { readServiceNow } from "../ingest/servicenow.ts";
import { readConfiguredHistory } from "../serve/inputs.ts";
import type { Io } from "./io.ts";

const HELP = `usage: ballast train [--estate DIR] [--history FILE]… [--out DIR] [--pipeline demand|tfx|trees] [--seed N]
                     [--config FILE] [--json]

Trains a demand model on a load history and judges it on the end of the history, which it has not seen.
--history FILE  the load history, \`time,SERVICE,…\` (default: history.csv of the configuration); may be repeated with other services
--estate DIR    an export folder; its load_history.csv where no --history is given, its changes as slices of the gate (tfx, trees)
--out DIR       where the model, its manifest and its card go (default .ballast/model/demand, or .ballast/model/series)
--pipeline P    demand (default): the tree model that the server runs, at least four weeks of five-minute steps;
                tfx: LSTM and trees by the whole pipeline (see models/tfx/README.md); trees: its tree half, without TFX
--serving-statistics FILE  what the server was asked, as TFDV statistics: inputs that moved are reported (tfx)
--seed N        the same seed, data and code give the same model (default 1)
The first run makes its Python environment in .ballast (400 MB; tfx 3 GB). An interrupted tfx run goes on where it stopped.
Exit 0 when the model beats the seasonal forecasts, 1 when it does not (the server would refuse it).`;

/** The step and the season of the demand series: a day of five-minute steps, forecast one hour ahead. */
const DEMAND_SHAPE = { season: STEPS_PER_DAY, horizon: HORIZON_STEPS };

const repo = resolve(import.meta.dirname, "../..");

export async function run(args: string[], io: Io): Promise<number> {
  const values = parse(args);
  if (values.help) {
    io.out(HELP);
    return 0;
  }
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0 || seed >= 2 ** 31)
    throw new BallastError("USAGE", `--seed ${values.seed}: expected a whole number from 0 to 2147483647`);
  if (!["demand", "tfx", "trees"].includes(values.pipeline))
    throw new BallastError("USAGE", `--pipeline ${values.pipeline}: expected demand, tfx or trees`);
  const history = await readHistory(values);
  const startedMs = performance.now();
  const progress = (text: string): void =>
    io.err(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${text}`);
  if (values.pipeline !== "demand") return await runPipeline(values, history, seed, progress, io);
  const outDir = values.out ?? join(repo, ".ballast/model/demand");
  const python = await makePythonEnvironment(join(repo, ".ballast/venv"), progress);
  const workDir = join(repo, ".ballast/train");
  const trained = await trainModel({ history, outDir, workDir, python, seed, progress });
  const better = trained.refusal === null;
  if (values.json) io.out(JSON.stringify({ out: outDir, better, manifest: trained.manifest }));
  else report(trained, outDir, io);
  if (!better) io.err(`the server would refuse this model: ${trained.refusal}`);
  return better ? 0 : 1;
}

async function runPipeline(
  values: Flags,
  history: LoadHistory,
  seed: number,
  progress: (text: string) => void,
  io: Io,
): Promise<number> {
  const outDir = values.out ?? join(repo, ".ballast/model/series");
  const trained = await trainSeries({
    shape: DEMAND_SHAPE,
    levels: DEFAULT_LEVELS,
    series: demandSeries(history, await readEstate(values, progress)),
    outDir,
    workDir: join(repo, ".ballast/train-series"),
    venvDir: join(repo, ".ballast/venv"),
    pipeline: values.pipeline as PipelineChoice,
    seed,
    ...(values["serving-statistics"] === undefined ? {} : { servingStatistics: values["serving-statistics"] }),
    progress,
  });
  const { gate, levels } = trained.manifest;
  if (values.json) io.out(JSON.stringify({ out: outDir, better: trained.better, manifest: trained.manifest }));
  else {
    io.out(
      `${"".padEnd(16)}${["MASE", "pinball", ...levels.map((level) => `cover ${level}`)].map((head) => head.padStart(12)).join("")}`,
    );
    for (const [name, score] of Object.entries({ model: gate.model, "seasonal naive": gate.seasonal_naive })) {
      const cells = [
        score.mase.toFixed(4),
        score.pinball.toFixed(4),
        ...score.coverage.map((share) => share.toFixed(3)),
      ];
      io.out(`${name.padEnd(16)}${cells.map((cell) => cell.padStart(12)).join("")}`);
    }
    io.out(`written to ${outDir}`);
  }
  return trained.better ? 0 : 1;
}

/** The estate whose changes slice the gate; null, with the reason, where the configuration does not fit the export. */
async function readEstate(values: Flags, progress: (text: string) => void): Promise<Estate | null> {
  if (values.estate === undefined) return null;
  try {
    const config = await loadConfig(values.config);
    const records = await readServiceNow(values.estate);
    return buildEstate({ records, config, nowMs: config.clock?.startMs ?? systemClock.nowMs() });
  } catch (error) {
    if (!(error instanceof BallastError)) throw error;
    progress(`without the estate's changes: ${error.message.split("\n", 1)[0]}`);
    return null;
  }
}

interface Flags {
  config: string;
  estate?: string | undefined;
  history?: string[] | undefined;
  pipeline: string;
  "serving-statistics"?: string | undefined;
  out?: string | undefined;
  seed: string;
  json: boolean;
  help: boolean;
}

function parse(args: string[]): Flags {
  try {
    const { values } = parseArgs({
      args,
      options: {
        config: { type: "string", default: "demo/ballast.yaml" },
        estate: { type: "string" },
        history: { type: "string", multiple: true },
        pipeline: { type: "string", default: "demand" },
        "serving-statistics": { type: "string" },
        out: { type: "string" },
        seed: { type: "string", default: "1" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    return values;
  } catch (cause) {
    throw new BallastError("USAGE", (cause as Error).message, { hint: HELP, cause });
  }
}

async function readHistory(values: Flags): ReturnType<typeof readLoadHistoryCsv> {
  const named = values.history ?? (values.estate === undefined ? undefined : [join(values.estate, "load_history.csv")]);
  if (named !== undefined) {
    const [first, ...rest] = await Promise.all(
      named.map((file) => readLoadHistoryCsv(file, { stepMs: FEATURE_STEP_MS })),
    );
    for (const [i, other] of rest.entries())
      for (const service of other.services) {
        if (first!.services.includes(service))
          throw new BallastError("USAGE", `${named[i + 1]} has service ${service}, which an earlier file has too`);
        const { startMs, values } = other.upTo(service, Number.MAX_SAFE_INTEGER);
        for (const [step, value] of values.entries()) first!.append(service, startMs + step * FEATURE_STEP_MS, value);
      }
    return first!;
  }
  const config = await loadConfig(values.config);
  if (config.history === null)
    throw new BallastError("USAGE", `${values.config} names no history; give one with --history`);
  return readConfiguredHistory(config.history);
}

function report({ manifest }: TrainResult, outDir: string, io: Io): void {
  const { backtest, training } = manifest;
  io.out(
    `held-out week ${backtest.from.slice(0, 10)} to ${backtest.to.slice(0, 10)}, ${backtest.scores.model.count} steps`,
  );
  io.out(
    `${"".padEnd(24)}${["MASE", "wQL", ...manifest.levels.map((level) => `cover ${level}`)].map((head) => head.padStart(12)).join("")}`,
  );
  for (const [name, score] of Object.entries(backtest.scores)) {
    const cells = [score.mase.toFixed(3), score.wql.toFixed(4), ...score.coverage.map((share) => share.toFixed(3))];
    io.out(`${name.replaceAll("_", " ").padEnd(24)}${cells.map((cell) => cell.padStart(12)).join("")}`);
  }
  io.out(
    `export differs from the booster by at most ${training.parity_max_abs_diff.toExponential(1)} over ${training.parity_rows} rows`,
  );
  io.out(`written to ${outDir}; to use it: \`model: ${outDir}\` in ballast.yaml`);
}
