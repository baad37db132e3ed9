import { join } from "node:path";
import { systemClock } from "../../common/clock.ts";
import { BallastError } from "../../common/errors.ts";
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
import { FEATURE_STEP_MS, HORIZON_STEPS } from "../features/schema.ts";
import { readHolidays, readSignals } from "../ingest/covariates/dated-csv.ts";
import { readRouteVisits, type Visit } from "../ingest/covariates/route-visits.ts";
import { readHistoryFiles } from "../ingest/history/history-files.ts";
import type { LoadHistory } from "../ingest/load-history.ts";
import type { EstateRecords } from "../ingest/records.ts";
import { readServiceNow } from "../ingest/servicenow.ts";
import { readConfiguredHistory } from "../serve/inputs.ts";
import type { Io } from "./io.ts";

/** Of the flags of `ballast train`, those that name what a training reads. */
export interface InputFlags {
  config?: string | undefined;
  estate?: string | undefined;
  history?: string[] | undefined;
  holidays?: string | undefined;
  signals?: string | undefined;
  "access-log"?: string[] | undefined;
  "time-zone"?: string | undefined;
}

const DEFAULT_CONFIG = "demo/ballast.yaml";

/** The loads of --history, of --estate, or of the configuration, the first of them that is named. */
export async function readHistory(values: InputFlags, io: Io): Promise<LoadHistory> {
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

/** null, with the reason, where the configuration that nobody named does not fit the export. */
export async function readEstate(values: InputFlags, progress: (text: string) => void): Promise<ReadEstate | null> {
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
async function withConfigured(values: InputFlags): Promise<InputFlags> {
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

/** What feature groups may look at. @param flags what they do not name, the configuration that they name does */
export async function readWorld(flags: InputFlags, history: LoadHistory, estate: ReadEstate | null): Promise<World> {
  const values = await withConfigured(flags);
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

/** Those of --groups. Throws USAGE for one that is not known or has no data. */
export function chooseGroups(wanted: string, world: World): FeatureGroup[] {
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
export function tiersOf(read: ReadEstate | null): Map<string, number> | undefined {
  if (read === null) return undefined;
  const { services, cis } = read.estate;
  const tiers = new Map<string, number>();
  for (const [name, { ciId }] of services) {
    const tier = cis.get(ciId)?.criticality;
    if (tier !== undefined) tiers.set(name, tier);
  }
  return tiers.size === 0 ? undefined : tiers;
}
