import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
import { ModelFolder } from "../../models/lib/model-folder.ts";
import { takeWorkFolder } from "../../models/lib/work-folder.ts";
import { chooseSeason, type SeasonChoice } from "../../models/series/choose-season.ts";
import { demandSeries } from "../../models/series/demand-series.ts";
import { type PipelineChoice, trainSeries } from "../../models/series/train-series.ts";
import { TINY_EFFORT } from "../../models/series/training-spec.ts";
import { makePythonEnvironment } from "../../models/trees/environment.ts";
import { type TrainResult, trainModel } from "../../models/trees/train-model.ts";
import { freezeWindows } from "../change/calendar.ts";
import type { FreezeWindow } from "../change/freeze.ts";
import { freezeSpans } from "../change/freeze-spans.ts";
import { loadConfig } from "../config/load-config.ts";
import { buildEstate } from "../estate/build-estate.ts";
import type { Estate } from "../estate/estate.ts";
import { buildWorld } from "../features/groups/build-world.ts";
import { DEFAULT_GROUPS, possibleGroups } from "../features/groups/choose-groups.ts";
import type { FeatureGroup } from "../features/groups/group.ts";
import { GROUPS } from "../features/groups/grouped-inputs.ts";
import type { World } from "../features/groups/world.ts";
import { FEATURE_STEP_MS, HORIZON_STEPS, STEPS_PER_DAY } from "../features/schema.ts";
import { DEFAULT_LEVELS } from "../forecast/forecaster.ts";
import { readHolidays, readSignals } from "../ingest/covariates/dated-csv.ts";
import type { Visit } from "../ingest/covariates/route-visits.ts";
import { readRouteVisits } from "../ingest/covariates/route-visits.ts";
import { readHistoryFiles } from "../ingest/history/history-files.ts";
import type { LoadHistory } from "../ingest/load-history.ts";
import type { EstateRecords } from "../ingest/records.ts";
import { readServiceNow } from "../ingest/servicenow.ts";
import { readConfiguredHistory } from "../serve/inputs.ts";
import type { Io } from "./io.ts";

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
  const world = await readWorld(await withConfigured(values), history, estate);
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

/** null, with the reason, where the configuration that nobody named does not fit the export. */
async function readEstate(values: Flags, progress: (text: string) => void): Promise<ReadEstate | null> {
  if (values.estate === undefined) return null;
  try {
    const config = await loadConfig(values.config ?? DEFAULT_CONFIG);
    const records = await readServiceNow(values.estate);
    const estate = buildEstate({ records, config, nowMs: config.clock?.startMs ?? systemClock.nowMs() });
    return { records, estate, freezes: freezeWindows(config, records).windows };
  } catch (error) {
    // A folder that is none was meant to be one; an export that the demo's configuration does not fit is still a history's.
    if (!(error instanceof BallastError) || error.code === "ESTATE_UNREADABLE" || values.config !== undefined)
      throw error;
    progress(`WITHOUT the estate's coupling, changes and tiers: ${error.message.split("\n", 1)[0]}`);
    progress(
      `  ${values.estate} does not fit ${DEFAULT_CONFIG}; name the ballast.yaml of its services by --config to have them`,
    );
    return null;
  }
}

interface ReadEstate {
  estate: Estate;
  records: EstateRecords;
  freezes: readonly FreezeWindow[];
}

/** What the flags do not say of the groups' sources, from the configuration that the server will read. */
async function withConfigured(values: Flags): Promise<Flags> {
  if (values.config === undefined) return values;
  const { holidays, signals, accessLogs, timeZone } = (await loadConfig(values.config)).forecast;
  const logs = accessLogs.map(({ file, service }) => (service === null ? file : `${service}=${file}`));
  return {
    ...values,
    holidays: values.holidays ?? holidays ?? undefined,
    signals: values.signals ?? signals ?? undefined,
    "time-zone": values["time-zone"] ?? timeZone ?? undefined,
    "access-log": values["access-log"] ?? (logs.length === 0 ? undefined : logs),
  };
}

async function readWorld(values: Flags, history: LoadHistory, estate: ReadEstate | null): Promise<World> {
  const visits = new Map<string, Visit[]>();
  const clients = new Map<string, string>();
  for (const named of values["access-log"] ?? []) {
    const split = /^([^=/]+)=(.+)$/.exec(named);
    const read = await readRouteVisits(split?.[2] ?? named, split?.[1] ?? null, clients);
    for (const [service, of] of read.visits)
      visits.set(
        service,
        [...(visits.get(service) ?? []), ...of].sort((a, b) => a.atMs - b.atMs),
      );
  }
  const timeZone = values["time-zone"];
  if (timeZone !== undefined) {
    try {
      new Intl.DateTimeFormat("en-US", { timeZone });
    } catch (cause) {
      throw new BallastError("USAGE", `--time-zone ${timeZone}: expected a name such as Europe/Berlin`, { cause });
    }
  }
  return buildWorld({
    history,
    estate,
    ...(estate === null ? {} : { freezes: freezeSpans(estate.freezes, ...spanOf(history)) }),
    ...(values.holidays === undefined ? {} : { holidays: await readHolidays(values.holidays) }),
    ...(values.signals === undefined ? {} : { signals: await readSignals(values.signals) }),
    ...(visits.size === 0 ? {} : { visits }),
    ...(timeZone === undefined ? {} : { timeZone }),
  });
}

/** From the oldest to the newest step of any service, and what is forecast behind it. */
function spanOf(history: LoadHistory): [fromMs: number, toMs: number] {
  const spans = history.services.flatMap((service) => history.span(service) ?? []);
  const endMs = Math.max(...spans.map((span) => span.endMs));
  return [Math.min(...spans.map(({ startMs }) => startMs)), endMs + HORIZON_STEPS * FEATURE_STEP_MS];
}

function chooseGroups(wanted: string, world: World): FeatureGroup[] {
  if (wanted === "none") return [];
  const possible = possibleGroups(world);
  if (wanted === "all") return possible;
  if (wanted === "default") return possible.filter(({ name }) => DEFAULT_GROUPS.includes(name));
  return wanted.split(",").map((name) => {
    const group = possible.find((one) => one.name === name);
    if (group !== undefined) return group;
    const known = GROUPS.some((one) => one.name === name);
    const why = known ? "there is no data for it here" : `expected ${GROUPS.map((one) => one.name).join(", ")}`;
    throw new BallastError("USAGE", `--groups ${name}: ${why}`);
  });
}

/** undefined where the export names no service's criticality: a slice of unknowns alone tells nothing. */
function tiersOf(read: ReadEstate | null): Map<string, number> | undefined {
  if (read === null) return undefined;
  const { services, cis } = read.estate;
  const tiers = new Map<string, number>();
  for (const [name, { ciId }] of services) {
    const tier = cis.get(ciId)?.criticality;
    if (tier !== undefined) tiers.set(name, tier);
  }
  return tiers.size === 0 ? undefined : tiers;
}

const DEFAULT_CONFIG = "demo/ballast.yaml";

interface Flags {
  config?: string | undefined;
  estate?: string | undefined;
  history?: string[] | undefined;
  pipeline: string;
  groups: string;
  season: string;
  holidays?: string | undefined;
  signals?: string | undefined;
  "access-log"?: string[] | undefined;
  "time-zone"?: string | undefined;
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

async function readHistory(values: Flags, io: Io): Promise<LoadHistory> {
  const named = values.history ?? (values.estate === undefined ? undefined : [join(values.estate, "load_history.csv")]);
  if (named !== undefined) {
    const { history, notes } = await readHistoryFiles(named, FEATURE_STEP_MS);
    for (const note of notes) io.err(`note: ${note}`);
    return history;
  }
  const config = await loadConfig(values.config ?? DEFAULT_CONFIG);
  if (config.history === null)
    throw new BallastError("USAGE", `${values.config ?? DEFAULT_CONFIG} names no history; give one with --history`);
  return readConfiguredHistory(config.history);
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
