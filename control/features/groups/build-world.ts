import type { Estate } from "../../estate/estate.ts";
import { pastWindows } from "../../estate/past-windows.ts";
import { coupledServices } from "../../estate/service-coupling.ts";
import type { Holiday, SignalRow } from "../../ingest/covariates/dated-csv.ts";
import type { Visit } from "../../ingest/covariates/route-visits.ts";
import type { LoadHistory } from "../../ingest/load-history.ts";
import type { EstateRecords } from "../../ingest/records.ts";
import type { Load, ServiceWindow, World } from "./world.ts";

export interface WorldParts {
  history: LoadHistory;
  /** What the estate says of coupling, changes and incidents, with the records that it was built from. */
  estate?: { estate: Estate; records: TicketRecords } | null;
  freezes?: readonly Freeze[];
  holidays?: readonly Holiday[];
  signals?: readonly SignalRow[];
  visits?: ReadonlyMap<string, readonly Visit[]>;
  timeZone?: string;
}

export type TicketRecords = Pick<EstateRecords, "changes" | "incidents" | "taskCis">;

/** A freeze of policy or calendar. Nobody wrote down when it was decided, so it counts as known when it begins. */
export interface Freeze {
  startMs: number;
  endMs: number;
  /** Null: all services. */
  services: readonly string[] | null;
}

/** The world that training looks at, from what it has read; serving makes its own of the same pieces. Pure. */
export function buildWorld(parts: WorldParts): World {
  const { history, estate, freezes = [] } = parts;
  const loads = new Map(history.services.map((name) => [name, loadOf(history, name)]));
  const world: World = { stepMs: history.stepMs, loads };
  if (parts.timeZone !== undefined) world.timeZone = parts.timeZone;
  if (parts.holidays !== undefined) world.holidays = parts.holidays;
  if (parts.signals !== undefined) world.signals = parts.signals;
  if (parts.visits !== undefined) world.visits = parts.visits;
  if (estate != null) world.neighbours = coupledServices(estate.estate);
  if (estate != null || freezes.length > 0)
    world.windows = serviceWindows(history.services, estate == null ? null : ticketWindows(estate), freezes);
  return world;
}

/** All complete and incomplete steps that a history holds of a service. */
export function loadOf(history: LoadHistory, service: string): Load {
  const { startMs, endMs } = history.span(service) ?? { startMs: 0, endMs: 0 };
  return { startMs, values: history.tail(service, endMs, (endMs - startMs) / history.stepMs) };
}

export function ticketWindows({
  estate,
  records,
}: {
  estate: Estate;
  records: TicketRecords;
}): ReadonlyMap<string, readonly ServiceWindow[]> {
  return pastWindows(records, estate);
}

/** By service its tickets, then the freezes that hold for it. */
export function serviceWindows(
  services: readonly string[],
  tickets: ReadonlyMap<string, readonly ServiceWindow[]> | null,
  freezes: readonly Freeze[],
): Map<string, ServiceWindow[]> {
  return new Map(
    services.map((name) => {
      const frozen = freezes
        .filter((one) => one.services === null || one.services.includes(name))
        .map(({ startMs, endMs }): ServiceWindow => {
          return { kind: "freeze", startMs, endMs, share: 0, knownAtMs: startMs, endKnownAtMs: startMs };
        });
      return [name, [...(tickets?.get(name) ?? []), ...frozen]];
    }),
  );
}
