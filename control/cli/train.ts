import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { BallastError } from "../../common/errors.ts";
import { makePythonEnvironment } from "../../models/trees/environment.ts";
import { type TrainResult, trainModel } from "../../models/trees/train-model.ts";
import { loadConfig } from "../config/load-config.ts";
import { FEATURE_STEP_MS } from "../features/schema.ts";
import { readLoadHistoryCsv } from "../ingest/load-history-csv.ts";
import type { Io } from "./io.ts";

const HELP = `usage: ballast train [--estate DIR | --history FILE] [--out DIR] [--seed N] [--config FILE] [--json]

Trains the demand model on a load history (five-minute steps, at least four weeks) and judges it on the last week, which
it has not seen. Makes its own Python environment in .ballast/venv the first time (about 400 MB).
--history FILE  the load history, \`time,SERVICE,…\` (default: history.csv of the configuration)
--estate DIR    a folder with load_history.csv, as the estate generator writes it
--out DIR       where the model, its manifest and its card go (default .ballast/model/demand)
--seed N        the same seed, data and code give the same model (default 1)
Exit 0 when the model beats the seasonal forecasts, 1 when it does not (the server would refuse it).`;

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
  const history = await readHistory(values);
  const outDir = values.out ?? join(repo, ".ballast/model/demand");
  const startedMs = performance.now();
  const progress = (text: string): void =>
    io.err(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${text}`);
  const python = await makePythonEnvironment(join(repo, ".ballast/venv"), progress);
  const workDir = join(repo, ".ballast/train");
  const trained = await trainModel({ history, outDir, workDir, python, seed, progress });
  const better = trained.refusal === null;
  if (values.json) io.out(JSON.stringify({ out: outDir, better, manifest: trained.manifest }));
  else report(trained, outDir, io);
  if (!better) io.err(`the server would refuse this model: ${trained.refusal}`);
  return better ? 0 : 1;
}

interface Flags {
  config: string;
  estate?: string | undefined;
  history?: string | undefined;
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
        history: { type: "string" },
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
  const named = values.history ?? (values.estate === undefined ? undefined : join(values.estate, "load_history.csv"));
  if (named !== undefined) return readLoadHistoryCsv(named, { stepMs: FEATURE_STEP_MS });
  const config = await loadConfig(values.config);
  if (config.history === null)
    throw new BallastError("USAGE", `${values.config} names no history; give one with --history`);
  return readLoadHistoryCsv(config.history.csv, { stepMs: config.history.stepMs });
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
