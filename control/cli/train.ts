import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { BallastError } from "../../common/errors.ts";
import { ModelFolder } from "../../models/lib/model-folder.ts";
import { takeWorkFolder } from "../../models/lib/work-folder.ts";
import { chooseSeason, type SeasonChoice } from "../../models/series/choose-season.ts";
import { demandSeries } from "../../models/series/demand-series.ts";
import { type PipelineChoice, trainSeries } from "../../models/series/train-series.ts";
import { TINY_EFFORT } from "../../models/series/training-spec.ts";
import { makePythonEnvironment } from "../../models/trees/environment.ts";
import { type TrainResult, trainModel } from "../../models/trees/train-model.ts";
import { HORIZON_STEPS, STEPS_PER_DAY } from "../features/schema.ts";
import { DEFAULT_LEVELS } from "../forecast/forecaster.ts";
import type { LoadHistory } from "../ingest/load-history.ts";
import type { Io } from "./io.ts";
import { chooseGroups, type InputFlags, readEstate, readHistory, readWorld, tiersOf } from "./train-inputs.ts";

const HELP = `usage: ballast train [--estate DIR] [--history FILE…] [--out DIR] [--pipeline tfx|trees|demand] [--seed N] [flags]

Trains a demand model on a load history and judges it on the end of the history, which it has not seen.
--history FILE  load histories in steps of five minutes: CSV (\`time,SERVICE,…\` or \`time,service,rps\`), .parquet, saved answers of
                Prometheus, Envoy access logs in JSON; several files hold several services (default: history.csv of the configuration)
--estate DIR    a ServiceNow export; its load_history.csv where no --history is given. Coupling, changes and tiers come from it, for the
                services and targets of --config (tfx, trees)
--out DIR       where the model, its manifest and its card go when it passed (default .ballast/model/series, or .ballast/model/demand).
                A series model that lies there is the one in use, which has to be beaten
--beat DIR      the model in use lies in DIR instead (tfx, trees)
--pipeline P    tfx (default): LSTM and trees by the whole pipeline (see docs/reference/train.md); trees: its tree half, without
                TFX; demand: the demand model, small trees that the demo runs, at least four weeks of five-minute steps
--season WHICH  day, week, or auto (default): a week where the history has four of them and its loads are much nearer to the week before
                than to the day before (tfx, trees)
--seed N        the same seed, data and code give the same model (default 1)
Feature groups beside the series' own past (tfx, trees; docs/reference/features.md):
--groups LIST   names of groups, \`default\`: those that were worth something in the ablation and have data here, \`all\` that have
                data, or \`none\`
--holidays FILE, --signals FILE, --access-log [SERVICE=]FILE…, --time-zone ZONE   what groups are made of (default: what
                \`forecast\` of a --config that is given names, so that training reads what the server will)
--served DIR    inputs that the server was asked with: those whose distribution moved are reported (tfx)
--work DIR      intermediate files (default .ballast/train-series); an interrupted tfx run goes on from them
--quick         one trial and few rounds: shows in two minutes that all of it runs here; not a model to use (tfx, trees)
--config FILE, --json
The first run makes its Python environment in .ballast (400 MB; tfx 3 GB).
Exit 0 when the model passed, 1 when it does not beat the seasonal forecasts and the model in use: DIR is then as it was.`;

/** Of --quick, per series. */
const QUICK_EXAMPLES = { copies: 1, originsPerCopy: 400, originsPerHeldOut: 200 };

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
    throw new BallastError("USAGE", `--pipeline ${values.pipeline}: expected tfx, trees or demand`);
  if (!["day", "week", "auto"].includes(values.season))
    throw new BallastError("USAGE", `--season ${values.season}: expected day, week or auto`);
  const history = await readHistory(values, io);
  const startedMs = performance.now();
  const progress = (text: string): void =>
    io.err(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${text}`);
  if (values.pipeline !== "demand") return await runPipeline(values, history, seed, progress, io);
  return await runDemand(values, history, seed, progress, io);
}

async function runDemand(
  values: Flags,
  history: LoadHistory,
  seed: number,
  progress: (text: string) => void,
  io: Io,
): Promise<number> {
  const outDir = values.out ?? join(repo, ".ballast/model/demand");
  const out = await ModelFolder.open(outDir, "demand");
  const work = join(repo, ".ballast/train");
  await using _taken = await takeWorkFolder(work);
  const python = await makePythonEnvironment(join(repo, ".ballast/venv"), progress);
  const made = join(work, "made");
  const trained = await trainModel({ history, outDir: made, workDir: join(work, "files"), python, seed, progress });
  if (!values.json) report(trained, io);
  if (trained.refusal !== null) throw new BallastError("TRAIN_NOT_BETTER", `${trained.refusal}; nothing was replaced`);
  await out.place(made);
  if (values.json) io.out(JSON.stringify({ out: outDir, better: true, manifest: trained.manifest }));
  else io.out(written(outDir));
  return 0;
}

/** What a person does next. */
function written(outDir: string): string {
  return `written to ${outDir}; to try it beside what steers: \`ballast model shadow ${outDir} --reason TEXT\`; to start with it: \`model: ${outDir}\` in ballast.yaml`;
}

async function runPipeline(
  values: Flags,
  history: LoadHistory,
  seed: number,
  progress: (text: string) => void,
  io: Io,
): Promise<number> {
  const outDir = values.out ?? join(repo, ".ballast/model/series");
  const estate = await readEstate(values, progress);
  const world = await readWorld(values, history, estate);
  const groups = chooseGroups(values.groups, world);
  progress(`feature groups: ${groups.map(({ name }) => name).join(", ") || "none"}`);
  const series = demandSeries(world, tiersOf(estate));
  const { season, why } = chooseSeason(series, values.season as SeasonChoice, STEPS_PER_DAY, HORIZON_STEPS);
  progress(`season: ${season} steps, ${why}`);
  const trained = await trainSeries({
    shape: { season, horizon: HORIZON_STEPS },
    levels: DEFAULT_LEVELS,
    stepMs: world.stepMs,
    series,
    groups: { chosen: groups, world },
    outDir,
    toServe: true,
    ...(values.beat === undefined ? {} : { beat: values.beat }),
    workDir: values.work ?? join(repo, ".ballast/train-series"),
    venvDir: join(repo, ".ballast/venv"),
    pipeline: values.pipeline as PipelineChoice,
    seed,
    ...(values.served === undefined ? {} : { served: values.served }),
    ...(values.quick ? { effort: TINY_EFFORT, examples: QUICK_EXAMPLES } : {}),
    progress,
  });
  const { gate, levels } = trained.manifest;
  const left = estate === null && values.estate !== undefined;
  if (values.json)
    io.out(JSON.stringify({ out: outDir, better: true, withoutEstate: left, manifest: trained.manifest }));
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
    io.out(written(outDir));
    if (left) io.out(`trained WITHOUT the estate ${values.estate}, which does not fit the configuration (see above)`);
  }
  return 0;
}

interface Flags extends InputFlags {
  pipeline: string;
  groups: string;
  season: string;
  served?: string | undefined;
  work?: string | undefined;
  quick: boolean;
  out?: string | undefined;
  beat?: string | undefined;
  seed: string;
  json: boolean;
  help: boolean;
}

function parse(args: string[]): Flags {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        config: { type: "string" },
        estate: { type: "string" },
        history: { type: "string", multiple: true },
        pipeline: { type: "string", default: "tfx" },
        groups: { type: "string", default: "default" },
        season: { type: "string", default: "auto" },
        holidays: { type: "string" },
        signals: { type: "string" },
        "access-log": { type: "string", multiple: true },
        "time-zone": { type: "string" },
        served: { type: "string" },
        work: { type: "string" },
        quick: { type: "boolean", default: false },
        out: { type: "string" },
        beat: { type: "string" },
        seed: { type: "string", default: "1" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    // `--history a.csv b.csv`: what a shell makes of a pattern.
    if (positionals.length > 0 && values.history === undefined)
      throw new Error(`unexpected argument ${positionals[0]}`);
    if (positionals.length > 0) values.history?.push(...positionals);
    return values;
  } catch (cause) {
    throw new BallastError("USAGE", (cause as Error).message, { hint: HELP, cause });
  }
}

function report({ manifest }: TrainResult, io: Io): void {
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
}
