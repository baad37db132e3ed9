import type { Holiday, SignalRow } from "../../ingest/covariates/dated-csv.ts";
import { firstAt, type VisitColumns } from "../../ingest/covariates/visit-columns.ts";
import { behaviourSpans, visitedServices } from "./behaviour.ts";
import { strongest } from "./coupling.ts";
import type { LoadMoves, MoveOrigin } from "./load-moves.ts";
import type { Neighbour, ServiceWindow, World } from "./world.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Distances to a holiday are told up to seven days; two more for zones. */
const HOLIDAY_REACH_MS = 9 * DAY_MS;
/** Hours to and since a change are told up to a day. */
const CHANGE_REACH_MS = DAY_MS;

/** What is known beside the loads, whole, as a server holds it. */
export interface WorldSources {
  neighbours: ReadonlyMap<string, readonly Neighbour[]>;
  windows: ReadonlyMap<string, readonly ServiceWindow[]>;
  holidays: readonly Holiday[];
  signals: readonly SignalRow[];
  /** Of a service from `fromMs` on, in order of time. */
  visits(service: string, fromMs: number, toMs: number): VisitColumns;
  /** Of the load of a service at the origin. */
  moves(service: string): LoadMoves | undefined;
}

/** Parts that the groups of a model need. */
export type Needed = ReadonlySet<keyof World>;

/**
 * The world as one origin sees it, cut for the services that are asked for together, so that little crosses to the thread that computes
 * features. What is cut away could not have changed a bit of any group's columns at this origin: later, unknown, or too far away.
 */
export class WorldAt {
  readonly #origin: MoveOrigin;
  readonly #sources: WorldSources;
  readonly #needed: Needed;
  readonly #holidays: readonly Holiday[];
  readonly #signals: readonly SignalRow[];

  constructor(sources: WorldSources, origin: MoveOrigin, needed: Needed) {
    this.#origin = origin;
    this.#sources = sources;
    this.#needed = needed;
    this.#holidays = needed.has("holidays") ? holidaysAround(sources.holidays, origin) : [];
    this.#signals = needed.has("signals") ? signalsAround(sources.signals, origin) : [];
  }

  of(services: readonly string[]): World {
    const { neighbours, windows, visits, moves } = this.#sources;
    const needed = this.#needed;
    const { originMs, stepMs } = this.#origin;
    const world: World = { stepMs };
    if (needed.has("holidays")) world.holidays = this.#holidays;
    if (needed.has("signals")) {
      const asked = new Set(services);
      world.signals = this.#signals.filter(({ service }) => service === null || asked.has(service));
    }
    if (needed.has("windows"))
      world.windows = new Map(services.map((name) => [name, windowsAround(windows.get(name) ?? [], this.#origin)]));
    if (needed.has("neighbours") || needed.has("visits"))
      world.neighbours = new Map(services.map((name) => [name, neighbours.get(name) ?? []]));
    if (needed.has("neighbours")) {
      const names = new Set(services.flatMap((name) => strongest(neighbours.get(name)).map(({ service }) => service)));
      world.moves = new Map(
        [...names].flatMap((name) => {
          const found = moves(name);
          return found === undefined ? [] : [[name, found] as const];
        }),
      );
    }
    if (needed.has("visits")) {
      const { start, end } = behaviourSpans(stepMs);
      const names = new Set(services.flatMap((name) => visitedServices({ neighbours }, name)));
      world.visitColumns = new Map(
        [...names].map((name) => [
          name,
          between(visits(name, originMs - start, originMs - end), originMs - start, originMs - end),
        ]),
      );
    }
    return world;
  }
}

function cycleOf({ season, horizon, stepMs }: MoveOrigin): number {
  return season * Math.ceil(horizon / season) * stepMs;
}

function holidaysAround(holidays: readonly Holiday[], origin: MoveOrigin): Holiday[] {
  const { originMs, horizon, stepMs } = origin;
  const fromMs = originMs - cycleOf(origin) - HOLIDAY_REACH_MS;
  const toMs = originMs + horizon * stepMs + HOLIDAY_REACH_MS;
  return holidays.filter(({ date, knownAtMs }) => {
    const ms = Date.parse(`${date}T00:00:00Z`);
    return knownAtMs <= originMs && ms >= fromMs && ms <= toMs;
  });
}

function windowsAround(windows: readonly ServiceWindow[], origin: MoveOrigin): ServiceWindow[] {
  const { originMs, horizon, stepMs } = origin;
  const fromMs = originMs - Math.max(cycleOf(origin), CHANGE_REACH_MS);
  const toMs = originMs + horizon * stepMs + CHANGE_REACH_MS;
  return windows.filter(({ startMs, endMs, knownAtMs, endKnownAtMs }) => {
    const knownEndMs = endKnownAtMs <= originMs ? endMs : Number.POSITIVE_INFINITY;
    return knownAtMs <= originMs && startMs < toMs && knownEndMs >= fromMs;
  });
}

/** Rows that hold within the cycle before or the horizon, and of each signal and service the one that ended last before the origin. */
function signalsAround(rows: readonly SignalRow[], origin: MoveOrigin): SignalRow[] {
  const { originMs, horizon, stepMs } = origin;
  const fromMs = originMs - cycleOf(origin);
  const toMs = originMs + horizon * stepMs;
  const known = rows.filter(({ knownAtMs }) => knownAtMs <= originMs);
  const newest = new Map<string, SignalRow>();
  for (const row of [...known].sort((a, b) => a.startMs - b.startMs)) {
    if (row.endMs > originMs) continue;
    const key = JSON.stringify([row.signal, row.service]);
    const before = newest.get(key);
    if (before === undefined || row.endMs >= before.endMs) newest.set(key, row);
  }
  const last = new Set(newest.values());
  return known.filter((row) => (row.startMs < toMs && row.endMs > fromMs) || last.has(row));
}

/** A copy: what is sent to a thread is only these visits, not the memory that they lie in. */
function between(visits: VisitColumns, fromMs: number, toMs: number): VisitColumns {
  const [from, to] = [firstAt(visits, fromMs), firstAt(visits, toMs)];
  return {
    atMs: visits.atMs.slice(from, to),
    clients: visits.clients.slice(from, to),
    routes: visits.routes.slice(from, to),
  };
}
