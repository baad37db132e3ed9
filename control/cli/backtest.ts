import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { durationText } from "../../common/duration-text.ts";
import { BallastError } from "../../common/errors.ts";
import { backtestExamples } from "../../models/series/backtest-examples.ts";
import { type PipelineChoice, trainSeries } from "../../models/series/train-series.ts";
import { BACKTEST_EFFORT } from "../../models/series/training-spec.ts";
import { environmentIsMade } from "../../models/tfx/environment.ts";
import { backtestPage } from "../forecast/series/backtest-page.ts";
import { holdContest } from "../forecast/series/contest.ts";
import { SeriesModel } from "../forecast/series/series-model.ts";
import type { WindowScores } from "../forecast/series/window-backtest.ts";
import { type CsvSeries, readSeriesCsv } from "../ingest/series-csv.ts";
import type { Io } from "./io.ts";

const HELP = `usage: ballast backtest --csv FILE --time COL --value COL --season N --horizon H --windows W [flags]

Forecasts the last W windows of H steps of a regular series, each from what came before it, and scores the forecasts as
GIFT-Eval does: MASE scaled by the seasonal difference of each window's past, wQL over the levels 0.1 to 0.9.
--csv FILE      a CSV file; --time and --value name two columns of its header, or say their numbers
--season N      steps after which the series tends to repeat (1: none); --horizon H, --windows W
--train         train the series model on what lies before the first window, and score it beside the baselines
--model DIR     score a model trained before instead (same season and horizon)
--pipeline P    tfx: the whole pipeline; trees: its tree half, which needs a small Python environment only; auto (default):
                tfx where its environment was made before (\`node scripts/tfx-root.ts make\`), else trees
--out DIR       keep the trained model there (default: it is not kept)
--html FILE     write a page with the table and a plot of every window
--seed N        the same seed, data and code give the same model (default 1)
--json          only the RESULT line
under 0.9 and over 0.9 are what came above a plan for the level 0.9, and what that plan held in vain, as shares of all that came.
What answers is a mixture of the forecasts in the table: the shares at each window come from windows before it, the model's from a span that it
had not seen. The line \`mixture of\` says their mean.`;

const LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] as const;
/** Numbers below this are no times since 1970 but numbers of rows, or years. */
const NUMBERED_MS = 100_000_000;
const DAY_MS = 86_400_000;
const repo = resolve(import.meta.dirname, "../..");

export async function run(args: string[], io: Io): Promise<number> {
  const flags = parse(args);
  if (flags.help) {
    io.out(HELP);
    return 0;
  }
  const { season, horizon, count } = flags;
  // Before the minutes that training takes, not after.
  if (flags.html !== undefined) await writeTo(flags.html, "");
  if (flags.out !== undefined)
    await mkdir(flags.out, { recursive: true }).catch((cause: Error) => notWritten("out", cause));
  const series = withoutLead(await readSeriesCsv(flags.csv, { time: flags.time, value: flags.value }));
  const steps = series.values.length;
  const firstTest = steps - count * horizon;
  const least = Math.max(season, horizon) + 2;
  if (firstTest < least)
    throw new BallastError(
      "SERIES_INVALID",
      `${steps} steps, of which windows take ${count} × ${horizon}, leave ${Math.max(0, firstTest)} before the first window; ${least} are needed for season ${season} and horizon ${horizon}`,
      {
        position: { file: flags.csv },
        hint:
          steps >= least + horizon
            ? `At most ${Math.floor((steps - least) / horizon)} windows of ${horizon} fit.`
            : "Take a shorter horizon or season, or a longer history.",
      },
    );
  if (series.values.subarray(firstTest).every((value) => Number.isNaN(value)))
    throw new BallastError(
      "SERIES_INVALID",
      `none of the last ${count * horizon} steps has a reading: nothing to score`,
      {
        position: { file: flags.csv },
      },
    );
  const note = [
    series.missing === 0 ? "" : `, ${series.missing} without a reading`,
    series.repeated === 0 ? "" : `, ${series.repeated} rows of a repeated hour of local time averaged`,
    series.unsorted === 0 ? "" : `, rows sorted by time (${series.unsorted} were not in order)`,
    series.doubled === 0 ? "" : `, ${series.doubled} that were there twice left out`,
  ].join("");
  // Rows that are numbered, or years, are read as seconds: their distance is none.
  const numbered = series.startMs + steps * series.stepMs < NUMBERED_MS;
  const found = `${steps} steps${numbered ? "" : ` of ${durationText(series.stepMs)}`}${note}; ${count} windows of ${horizon} from step ${firstTest}`;
  io.err(found);

  const history = series.values.subarray(0, firstTest);
  const model = await openModel(flags, history, io);
  try {
    const contest = await holdContest(series.values, {
      season,
      horizon,
      windows: count,
      levels: LEVELS,
      model: model?.series ?? null,
    });
    const { rows, answered, shares, windows } = contest;
    const answer = rows.find(({ name }) => name === answered)!;
    if (contest.refused > 0)
      io.err(`${contest.refused} answers of the model were refused; the mixture of the others stands in for them`);
    rows.sort((a, b) => a.mase - b.mase);
    const madeOf = `mixture of ${sharesText(shares)}${model === null ? "" : `; model trained by ${model.by}`}`;
    if (!flags.json) {
      io.out(table(rows));
      io.out(madeOf);
    }
    if (flags.html !== undefined)
      await writeTo(
        flags.html,
        backtestPage({
          title: `Backtest of ${flags.value} in ${basename(flags.csv)}`,
          facts: [`${found}, season ${season}`, `What answers: ${madeOf}`],
          rows,
          shown: answer,
          windows,
          timeOf: numbered ? null : (step) => timeText(series.timesMs[step]!, series.stepMs),
        }),
      );
    const of = (name: string): number => rows.find((row) => row.name === name)!.mase;
    const result = {
      bench: "forecast",
      naive_mase: of("naive"),
      seasonal_naive_mase: of("seasonal naive"),
      mase: answer.mase,
      mase_ci: answer.interval,
      wql: answer.wql,
      rank: 1 + rows.filter((row) => row.mase < answer.mase).length,
      of: rows.length,
      coverage: { "0.1": answer.coverage[0], "0.9": answer.coverage.at(-1) },
      under_provision: answer.provision.under,
      over_provision: answer.provision.over,
      model_mase: model === null ? null : of("model"),
      answered_by: answered,
      shares: Object.fromEntries(bySize(shares).map(([name, share]) => [name, Number(share.toFixed(4))])),
      pipeline: model?.by ?? null,
    };
    io.out(`RESULT ${JSON.stringify(result)}`);
    return 0;
  } finally {
    model?.series.close();
  }
}

async function writeTo(html: string, page: string): Promise<void> {
  await writeFile(html, page).catch((cause: Error) => notWritten("html", cause));
}

function notWritten(flag: string, cause: Error): never {
  throw new BallastError("USAGE", `--${flag}: ${cause.message}`, { cause });
}

/** As much of a time as differs from step to step. */
function timeText(timeMs: number, stepMs: number): string {
  const text = new Date(timeMs).toISOString();
  if (stepMs >= 28 * DAY_MS) return text.slice(0, 7);
  return stepMs >= DAY_MS ? text.slice(0, 10) : text.slice(0, stepMs < 60_000 ? 19 : 16).replace("T", " ");
}

/** A series begins with its first reading. */
function withoutLead(series: CsvSeries): CsvSeries {
  const first = series.values.findIndex((value) => Number.isFinite(value));
  if (first <= 0) return series;
  return {
    ...series,
    values: series.values.subarray(first),
    timesMs: series.timesMs.subarray(first),
    startMs: series.startMs + first * series.stepMs,
    missing: series.missing - first,
  };
}

async function openModel(
  flags: Flags,
  history: Float64Array,
  io: Io,
): Promise<{ series: SeriesModel; by: string } | null> {
  const { season, horizon } = flags;
  if (flags.model !== undefined) {
    const series = await SeriesModel.open(flags.model).catch((cause: Error) => {
      throw new BallastError("USAGE", `--model ${flags.model}: ${cause.message}`, { cause });
    });
    const { manifest } = series;
    if (manifest.season !== season || manifest.horizon !== horizon || String(manifest.levels) !== String(LEVELS)) {
      series.close();
      throw new BallastError(
        "USAGE",
        `${flags.model} has season ${manifest.season}, horizon ${manifest.horizon}, levels ${manifest.levels.join(" ")}`,
      );
    }
    return { series, by: manifest.training.pipeline };
  }
  if (!flags.train) return null;
  const startedMs = performance.now();
  const progress = (text: string): void =>
    io.err(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${text}`);
  const scratch = await mkdtemp(join(tmpdir(), "ballast-backtest-"));
  try {
    const pipeline = flags.pipeline === "auto" && !(await environmentIsMade()) ? "trees" : flags.pipeline;
    const outDir = flags.out ?? join(scratch, "model");
    const trained = await trainSeries({
      shape: { season, horizon },
      levels: LEVELS,
      series: [{ name: flags.value, values: history }],
      outDir,
      workDir: join(scratch, "work"),
      venvDir: join(repo, ".ballast/venv"),
      pipeline,
      seed: flags.seed,
      effort: BACKTEST_EFFORT,
      examples: backtestExamples({ season, horizon }),
      progress,
    });
    const by = trained.pipeline === "tfx" ? "the whole pipeline (tfx)" : "the tree half (plain environment)";
    progress(`trained by ${by}`);
    return { series: await SeriesModel.open(outDir), by: trained.pipeline };
  } catch (error) {
    // The rest of the chain still answers, and the reason is said.
    if (!(error instanceof BallastError) || !["TRAIN_HISTORY_TOO_SHORT", "TRAIN_NOT_BETTER"].includes(error.code))
      throw error;
    io.err(`no model: ${error.message}`);
    return null;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

interface Flags {
  csv: string;
  time: string;
  value: string;
  season: number;
  horizon: number;
  count: number;
  train: boolean;
  model: string | undefined;
  pipeline: PipelineChoice;
  out: string | undefined;
  html: string | undefined;
  seed: number;
  json: boolean;
  help: boolean;
}

function parse(args: string[]): Flags {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        csv: text,
        time: text,
        value: text,
        season: text,
        horizon: text,
        windows: text,
        train: flag,
        model: text,
        pipeline: { type: "string", default: "auto" },
        out: text,
        html: text,
        seed: { type: "string", default: "1" },
        json: flag,
        help: flag,
      },
    }));
  } catch (cause) {
    throw new BallastError("USAGE", (cause as Error).message, { hint: HELP, cause });
  }
  const word = (name: string): string => {
    const value = values[name];
    if (value === undefined && !values.help) throw new BallastError("USAGE", `--${name} is missing`, { hint: HELP });
    return String(value ?? "");
  };
  const whole = (name: string, least: number, most: number): number => {
    const value = Number(word(name));
    if (!values.help && !(Number.isInteger(value) && value >= least && value <= most))
      throw new BallastError("USAGE", `--${name} ${word(name)}: expected a whole number from ${least} to ${most}`);
    return value;
  };
  if (values.model !== undefined && values.train)
    throw new BallastError("USAGE", "--model and --train: either a model trained before, or one trained here");
  if (values.out !== undefined && !values.train)
    throw new BallastError("USAGE", "--out keeps what --train trains: add it");
  const pipeline = word("pipeline");
  if (pipeline !== "auto" && pipeline !== "tfx" && pipeline !== "trees")
    throw new BallastError("USAGE", `--pipeline ${pipeline}: expected auto, tfx or trees`);
  const optional = (name: string): string | undefined => (typeof values[name] === "string" ? values[name] : undefined);
  return {
    csv: word("csv"),
    time: word("time"),
    value: word("value"),
    season: whole("season", 1, 100_000),
    horizon: whole("horizon", 1, 5_000),
    count: whole("windows", 1, 10_000),
    train: values.train === true,
    model: optional("model"),
    pipeline,
    out: optional("out"),
    html: optional("html"),
    seed: whole("seed", 0, 2 ** 31 - 1),
    json: values.json === true,
    help: values.help === true,
  };
}

function bySize(shares: ReadonlyMap<string, number>): [string, number][] {
  return [...shares].sort((a, b) => b[1] - a[1]);
}

/** Shares below a percent are summed up. */
function sharesText(shares: ReadonlyMap<string, number>): string {
  const shown = bySize(shares).filter(([, share]) => share >= 0.01);
  const rest = shares.size - shown.length;
  const parts = shown.map(([name, share]) => `${name} ${(100 * share).toFixed(0)} %`);
  return [...parts, ...(rest > 0 ? [`${rest} other${rest === 1 ? "" : "s"} under 1 %`] : [])].join(", ");
}

function table(rows: readonly WindowScores[]): string {
  const head = ["forecast", "MASE", "95 % interval", "wQL", "in 0.1…0.9", "under 0.9", "over 0.9"];
  const cells = rows.map((row) => [
    row.name,
    row.mase.toFixed(4),
    `${row.interval[0].toFixed(3)} … ${row.interval[1].toFixed(3)}`,
    row.wql.toFixed(5),
    `${(100 * (row.coverage.at(-1)! - row.coverage[0]!)).toFixed(0)} %`,
    `${(100 * row.provision.under).toFixed(2)} %`,
    `${(100 * row.provision.over).toFixed(2)} %`,
  ]);
  const lines = [head, ...cells];
  const widths = head.map((_, k) => Math.max(...lines.map((line) => line[k]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, k) => cell.padEnd(widths[k]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
