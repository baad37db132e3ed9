import { join } from "node:path";
import type { Clock } from "../../common/clock.ts";
import { LoopTurns } from "../../common/loop-turns.ts";
import { freezeSpans } from "../change/freeze-spans.ts";
import type { BallastConfig } from "../config/config.ts";
import { coupledServices } from "../estate/service-coupling.ts";
import { behaviourSpans, visitedServices } from "../features/groups/behaviour.ts";
import { loadOf, serviceWindows, type TicketRecords, ticketWindows } from "../features/groups/build-world.ts";
import type { CalendarParameters } from "../features/groups/calendar.ts";
import { strongest } from "../features/groups/coupling.ts";
import { type FittedGroup, groupNeeds } from "../features/groups/grouped-inputs.ts";
import { type LoadMoves, ScaledLoad } from "../features/groups/load-moves.ts";
import type { SignalParameters } from "../features/groups/signals.ts";
import type { ServiceWindow, World } from "../features/groups/world.ts";
import { type Needed, WorldAt } from "../features/groups/world-at.ts";
import type { WorldAnswer, WorldQuestion, WorldSource } from "../forecast/model/world-source.ts";
import type { FallbackReason } from "../forecast/reasons.ts";
import type { Holiday, SignalRow } from "../ingest/covariates/dated-csv.ts";
import { readHolidays, readSignals } from "../ingest/covariates/dated-csv.ts";
import { columnsOf, type VisitColumns } from "../ingest/covariates/visit-columns.ts";
import { WatchedFile } from "../ingest/covariates/watched-file.ts";
import { listTables, readServiceNow } from "../ingest/servicenow.ts";
import { FollowedLogs } from "./followed-logs.ts";
import type { Inputs } from "./inputs.ts";

export interface CovariatesOptions {
  inputs: Pick<Inputs, "config" | "estate" | "tickets" | "history" | "freezes">;
  clock: Clock;
  /** From wall time to the planning calendar. */
  timeOf: (wallMs: number) => number;
  log: { warn(fields: object, text: string): void };
}

/** One source of feature groups, for status and metrics. */
export interface CovariateView {
  source: "holidays" | "signals" | "accessLog" | "tickets";
  /** Field of ballast.yaml. */
  field: string;
  /** `ok`: as its files have it. `kept`: what was read before is used, since the files cannot be. `stale`, `missing`: models that need it do not answer. */
  state: "ok" | "kept" | "stale" | "missing";
  text: string;
  /** Whether a model needed it in the last two hours of the planning calendar. */
  used: boolean;
}

const TICKET_TABLES: ReadonlySet<string> = new Set(["change_request", "incident", "task_ci"]);
const PART_OF = { holidays: "holidays", signals: "signals", accessLog: "visits", tickets: "windows" } as const;
/** A model that was not asked for so long is none of this server any more. */
const USED_MS = 2 * 3_600_000;
const NO_VISITS = columnsOf([]);
const DAY_MS = 86_400_000;

/**
 * What the feature groups of models are made of on this server: files that are read again when they change, the export's tickets, the
 * access logs, the estate's graph and the load history. Files are looked at when a model that needs them is asked, once per origin.
 */
export class Covariates implements WorldSource {
  readonly #options: CovariatesOptions;
  readonly #config: BallastConfig;
  readonly #holidays: WatchedFile<Holiday[]> | null;
  readonly #signals: WatchedFile<SignalRow[]> | null;
  readonly #tickets: WatchedFile<TicketRecords>;
  readonly #logs: FollowedLogs | null;
  /** Worked out when the first model needs them: of a large estate they take a second. */
  #neighboursKept: (World["neighbours"] & {}) | null = null;
  #windows: ReadonlyMap<string, readonly ServiceWindow[]> | null = null;
  #ticketsReadAtMs: number;
  #told = new Set<string>();
  /** The last origin that each part was needed at. */
  readonly #usedAtMs = new Map<keyof World, number>();
  /** One look at the files at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: CovariatesOptions) {
    this.#options = options;
    const { config, estate, history } = options.inputs;
    this.#config = config;
    const { holidays, signals, accessLogs } = config.forecast;
    this.#holidays =
      holidays === null ? null : new WatchedFile({ files: () => [holidays], read: () => readHolidays(holidays) });
    this.#signals =
      signals === null ? null : new WatchedFile({ files: () => [signals], read: () => readSignals(signals) });
    const folder = config.estate.servicenow;
    this.#tickets = new WatchedFile<TicketRecords>({
      files: async () => {
        const tables = await listTables(folder);
        return tables.filter(({ table }) => TICKET_TABLES.has(table)).map(({ name }) => join(folder, name));
      },
      read: () => readServiceNow(folder, { tables: TICKET_TABLES }),
    });
    this.#logs =
      accessLogs.length === 0
        ? null
        : new FollowedLogs({ logs: accessLogs, stepMs: history.stepMs, clock: options.clock, timeOf: options.timeOf });
    this.#ticketsReadAtMs = estate.readAtMs;
  }

  /** Reads the files once; what is wrong with them is an alarm, no error: a server must be able to start without a list of holidays. */
  static async open(options: CovariatesOptions): Promise<Covariates> {
    const own = new Covariates(options);
    await Promise.all([own.#holidays?.look(), own.#signals?.look(), own.#logs?.look()]);
    own.#tell();
    own.#logs?.start();
    return own;
  }

  async stop(): Promise<void> {
    await this.#turn;
    await this.#logs?.stop();
  }

  lacks(groups: readonly FittedGroup[]): string | null {
    const { holidays, signals, accessLogs, timeZone } = this.#config.forecast;
    const given: Partial<Record<keyof World, [boolean, string]>> = {
      holidays: [holidays !== null, "`forecast.holidays` of ballast.yaml names no file of them"],
      signals: [signals !== null, "`forecast.signals` of ballast.yaml names no file of them"],
      visits: [accessLogs.length > 0, "`forecast.accessLog` of ballast.yaml names no log"],
    };
    for (const { name, needs } of groupNeeds(groups))
      for (const need of needs) {
        const [there, where] = given[need] ?? [true, ""];
        if (!there) return `its feature group ${name} needs ${need}: ${where}`;
      }
    const zone = (parametersOf(groups, "calendar") as CalendarParameters | undefined)?.timeZone;
    if (zone !== undefined && timeZone !== null && zone !== timeZone)
      return `its calendar was trained in ${zone}, \`forecast.timeZone\` of ballast.yaml says ${timeZone}`;
    const known = this.#signals?.value;
    const unknown = namesOf(groups).find((name) => known?.every(({ signal }) => signal !== name));
    return unknown === undefined
      ? this.#prepare(groups)
      : `${signals} (\`forecast.signals\`) has no signal ${unknown}, which it was trained with`;
  }

  /** At the time at which a model is loaded, not at its first forecast. */
  #prepare(groups: readonly FittedGroup[]): null {
    if (groupNeeds(groups).some(({ needs }) => needs.includes("neighbours") || needs.includes("visits")))
      void this.#neighbours;
    return null;
  }

  async at(question: WorldQuestion): Promise<WorldAnswer> {
    const { groups, history, services, originMs, season, horizon } = question;
    const needed: Needed = new Set(groupNeeds(groups).flatMap(({ needs }) => needs));
    for (const part of needed) this.#usedAtMs.set(part, originMs);
    await this.#look(needed);
    const reason = this.#reason(groups, needed, originMs);
    if (reason !== null) return { reason };
    const origin = { originMs, season, horizon, stepMs: history.stepMs };
    const moves = needed.has("neighbours") ? await this.#moves(question) : new Map<string, LoadMoves>();
    const visits = needed.has("visits") ? await this.#visits(question) : new Map<string, VisitColumns>();
    const world = new WorldAt(
      {
        neighbours: this.#neighbours,
        windows: needed.has("windows") ? this.#windowsOf(services, originMs, season) : new Map(),
        holidays: this.#holidays?.value ?? [],
        signals: this.#signals?.value ?? [],
        visits: (service) => visits.get(service) ?? NO_VISITS,
        moves: (service) => moves.get(service),
      },
      origin,
      needed,
    );
    return { of: (some) => world.of(some) };
  }

  /** Each source that ballast.yaml names. */
  view(): CovariateView[] {
    const nowMs = this.#options.clock.nowMs();
    const { holidays, signals, accessLogs } = this.#config.forecast;
    const views: CovariateView[] = [];
    const add = (
      source: CovariateView["source"],
      field: string,
      error: string | null,
      reason: FallbackReason | null,
      ok: string,
    ) => {
      const state =
        reason === null ? (error === null ? "ok" : "kept") : reason.code === "COVARIATES_STALE" ? "stale" : "missing";
      const used = (this.#usedAtMs.get(PART_OF[source]) ?? 0) >= nowMs - USED_MS;
      views.push({ source, field, state, text: reason?.text ?? error ?? ok, used });
    };
    const of = <T>(file: WatchedFile<readonly T[]> | null) => file?.error?.message ?? null;
    if (holidays !== null)
      add(
        "holidays",
        "forecast.holidays",
        of(this.#holidays),
        this.#holidaysAt(nowMs),
        `${this.#holidays?.value?.length} days`,
      );
    if (signals !== null)
      add("signals", "forecast.signals", of(this.#signals), this.#signalsNow(), `${this.#signals?.value?.length} rows`);
    if (accessLogs.length > 0) {
      const { held, unreadable } = this.#logs!.counts;
      add(
        "accessLog",
        "forecast.accessLog",
        null,
        this.#logs!.fault(nowMs),
        `${held} visits held, ${unreadable} lines unreadable`,
      );
    }
    add(
      "tickets",
      "estate.servicenow",
      this.#tickets.error?.message ?? null,
      this.#ticketsAt(nowMs),
      `read at ${iso(this.#ticketsReadAtMs)}`,
    );
    return views;
  }

  /** What a person should look at, one sentence each. */
  alarms(): string[] {
    return this.view().flatMap(({ state, field, text, used }) => {
      if (state === "ok" || !used) return [];
      if (state === "kept") return [`COVARIATES_KEPT: ${field}: ${text}; what was read before is used`];
      return [`COVARIATES_${state.toUpperCase()}: ${field}: ${text}; models that need it do not answer`];
    });
  }

  /** Whatever of the files a question needs, read again where it changed. */
  async #look(needed: Needed): Promise<void> {
    const turn = this.#turn.then(async () => {
      if (needed.has("holidays")) await this.#holidays?.look();
      if (needed.has("signals")) await this.#signals?.look();
      if (needed.has("visits")) await this.#logs?.look();
      if (needed.has("windows") && (await this.#tickets.look())) {
        const { estate } = this.#options.inputs;
        this.#windows = ticketWindows({ estate, records: this.#tickets.value! });
        this.#ticketsReadAtMs = this.#options.clock.nowMs();
      }
    });
    this.#turn = turn.catch(() => undefined);
    await turn;
    this.#tell();
  }

  #reason(groups: readonly FittedGroup[], needed: Needed, originMs: number): FallbackReason | null {
    if (needed.has("holidays")) {
      const reason = this.#holidaysAt(originMs);
      if (reason !== null) return reason;
    }
    if (needed.has("signals")) {
      const reason = this.#signalsNow();
      if (reason !== null) return reason;
      const lacking = this.lacks(groups);
      if (lacking !== null) return { code: "COVARIATES_MISSING", text: lacking };
    }
    if (needed.has("windows")) {
      const reason = this.#ticketsAt(originMs);
      if (reason !== null) return reason;
    }
    return needed.has("visits") ? this.#logs!.fault(originMs) : null;
  }

  #holidaysAt(originMs: number): FallbackReason | null {
    const holidays = this.#holidays?.value ?? null;
    if (holidays === null)
      return { code: "COVARIATES_MISSING", text: `no holidays: ${this.#holidays?.error?.message}` };
    const last = holidays.reduce((latest, { date }) => (date > latest ? date : latest), "");
    // A day on which the list ends may still be a day of it in the easternmost zone.
    if (Date.parse(`${last}T00:00:00Z`) + 2 * DAY_MS >= originMs) return null;
    return {
      code: "COVARIATES_STALE",
      text: `the list of holidays ends with ${last || "nothing"}: whether a day after it is one nobody says`,
    };
  }

  #signalsNow(): FallbackReason | null {
    const { signalsMaxAgeMs } = this.#config.forecast;
    const file = this.#signals;
    if (file?.value == null) return { code: "COVARIATES_MISSING", text: `no signals: ${file?.error?.message}` };
    const ageMs = Date.now() - file.writtenAtMs!;
    if (signalsMaxAgeMs === null || ageMs <= signalsMaxAgeMs) return null;
    const text = `the file of signals was written ${Math.round(ageMs / 60_000)} min ago, \`forecast.signalsMaxAge\` allows ${Math.round(signalsMaxAgeMs / 60_000)}`;
    return { code: "COVARIATES_STALE", text };
  }

  #ticketsAt(originMs: number): FallbackReason | null {
    const { maxAgeMs } = this.#config.estate;
    if (originMs - this.#ticketsReadAtMs <= maxAgeMs) return null;
    return {
      code: "COVARIATES_STALE",
      text: `changes and incidents were read at ${iso(this.#ticketsReadAtMs)}, longer ago than \`estate.maxAge\``,
    };
  }

  get #neighbours(): World["neighbours"] & {} {
    this.#neighboursKept ??= coupledServices(this.#options.inputs.estate);
    return this.#neighboursKept;
  }

  /** Tickets and freezes that may hold near an origin. */
  #windowsOf(services: readonly string[], originMs: number, season: number): Map<string, ServiceWindow[]> {
    const { estate, tickets, freezes, history } = this.#options.inputs;
    const reachMs = season * history.stepMs + 2 * DAY_MS;
    this.#windows ??= ticketWindows({ estate, records: tickets });
    return serviceWindows(services, this.#windows, freezeSpans(freezes, originMs - reachMs, originMs + reachMs));
  }

  /** What the loads of all that are somebody's neighbour come to, in turns that hold nobody up. */
  async #moves({ history, services, originMs, season, horizon }: WorldQuestion): Promise<Map<string, LoadMoves>> {
    const names = new Set(
      services.flatMap((name) => strongest(this.#neighbours.get(name)).map(({ service }) => service)),
    );
    const moves = new Map<string, LoadMoves>();
    const turns = new LoopTurns();
    for (const name of names) {
      if (history.span(name) === null) continue;
      moves.set(
        name,
        new ScaledLoad(loadOf(history, name)).movesAt({ originMs, season, horizon, stepMs: history.stepMs }),
      );
      if (turns.isOver) await turns.next();
    }
    return moves;
  }

  /** The visits that anyone looks at before an origin, gathered in turns as well. */
  async #visits({ history, services, originMs }: WorldQuestion): Promise<Map<string, VisitColumns>> {
    const { start, end } = behaviourSpans(history.stepMs);
    const names = new Set(services.flatMap((name) => visitedServices({ neighbours: this.#neighbours }, name)));
    const visits = new Map<string, VisitColumns>();
    const turns = new LoopTurns();
    for (const name of names) {
      visits.set(name, this.#logs!.between(name, originMs - start, originMs - end));
      if (turns.isOver) await turns.next();
    }
    return visits;
  }

  /** Each fault once in the log. */
  #tell(): void {
    const alarms = new Set(this.alarms());
    for (const alarm of alarms) if (!this.#told.has(alarm)) this.#options.log.warn({}, alarm);
    this.#told = alarms;
  }
}

function parametersOf(groups: readonly FittedGroup[], name: string): unknown {
  return groups.find((group) => group.name === name)?.parameters;
}

function namesOf(groups: readonly FittedGroup[]): readonly string[] {
  return (parametersOf(groups, "signals") as SignalParameters | undefined)?.names ?? [];
}

function iso(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).concat("Z");
}
