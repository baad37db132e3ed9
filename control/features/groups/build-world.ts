import type { Estate } from "../../estate/estate.ts";
import { pastWindows } from "../../estate/past-windows.ts";
import { coupledServices } from "../../estate/service-coupling.ts";
import type { EstateRecords } from "../../ingest/records.ts";
import type { LoadHistory } from "../load-history.ts";
import type { Holiday, Load, ServiceWindow, SignalRow, Visit, World } from "./world.ts";

export interface WorldParts {
  history: LoadHistory;
  /** What the estate says of coupling, changes and incidents, with the records that it was built from. */
  estate?: { estate: Estate; records: EstateRecords } | null;
  /** Freezes of policy and calendar; they hold for every service and were known when they were read. */
  freezes?: readonly { startMs: number; endMs: number; knownAtMs: number }[];
  holidays?: readonly Holiday[];
  signals?: readonly SignalRow[];
  visits?: ReadonlyMap<string, readonly Visit[]>;
  timeZone?: string;
}

/** The world that training and serving look at, from what each has read. Pure. */
export function buildWorld(parts: WorldParts): World {
  const { history, estate, freezes = [] } = parts;
  const loads = new Map<string, Load>(
    history.services.map((name) => {
      const { startMs, values } = history.upTo(name, Number.MAX_SAFE_INTEGER);
      return [name, { startMs, values: Float64Array.from(values) }];
    }),
  );
  const world: World = { stepMs: history.stepMs, loads };
  if (parts.timeZone !== undefined) world.timeZone = parts.timeZone;
  if (parts.holidays !== undefined) world.holidays = parts.holidays;
  if (parts.signals !== undefined) world.signals = parts.signals;
  if (parts.visits !== undefined) world.visits = parts.visits;
  if (estate != null) world.neighbours = coupledServices(estate.estate);
  if (estate != null || freezes.length > 0) {
    const frozen = freezes.map(
      (one): ServiceWindow => ({ ...one, kind: "freeze", share: 0, endKnownAtMs: one.knownAtMs }),
    );
    const past = estate == null ? new Map<string, ServiceWindow[]>() : pastWindows(estate.records, estate.estate);
    world.windows = new Map(history.services.map((name) => [name, [...(past.get(name) ?? []), ...frozen]]));
  }
  return world;
}
