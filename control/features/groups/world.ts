import { createHash } from "node:crypto";
import type { Holiday, SignalRow } from "../../ingest/covariates/dated-csv.ts";
import type { Visit } from "../../ingest/covariates/route-visits.ts";
import type { VisitColumns } from "../../ingest/covariates/visit-columns.ts";
import type { LoadMoves } from "./load-moves.ts";

/**
 * What may be known beside a series' own past. Every item says from when it was known: a group may use at an origin what was
 * known at that time, nothing else, also when the world holds more because it was read later.
 */
export interface World {
  /** Milliseconds; all loads share the grid of multiples of it. */
  stepMs: number;
  /** IANA zone of the people who cause the load: weekdays, hours and holidays are theirs. Default UTC. */
  timeZone?: string;
  /** Requests per second by service; a step is known when it has ended. */
  loads?: ReadonlyMap<string, Load>;
  /** What `loads` come to at one origin, in their place: see WorldAt. */
  moves?: ReadonlyMap<string, LoadMoves>;
  /** By service, the services whose load moves with it. */
  neighbours?: ReadonlyMap<string, readonly Neighbour[]>;
  holidays?: readonly Holiday[];
  /** Changes, incidents, freezes and maintenance by service. */
  windows?: ReadonlyMap<string, readonly ServiceWindow[]>;
  signals?: readonly SignalRow[];
  /** Route visits by service, in order of time. */
  visits?: ReadonlyMap<string, readonly Visit[]>;
  /** The visits before one origin, in place of `visits`. */
  visitColumns?: ReadonlyMap<string, VisitColumns>;
}

export interface Load {
  startMs: number;
  /** NaN = no reading. */
  values: Float64Array;
}

export interface Neighbour {
  service: string;
  /** 0 … 1, how much the two share. */
  weight: number;
}

export type ServiceWindowKind = "change" | "incident" | "freeze" | "maintenance";

export interface ServiceWindow {
  kind: ServiceWindowKind;
  startMs: number;
  /** `Infinity` while nobody knows. */
  endMs: number;
  /** Share of the service's capacity that is out, 0 … 1. */
  share: number;
  knownAtMs: number;
  /** When the end became known: for an incident its resolution, for a planned window the time that it was planned. */
  endKnownAtMs: number;
}

const DAY_MS = 86_400_000;
/** Days that get an unknown holiday, so that a group that looks ahead without asking when it was known is caught. */
const HIDDEN_DAYS = 60;

/**
 * The same world in which everything that was not known at `fromMs` is something else. A group that says the same at an origin
 * `fromMs` in both has not looked ahead.
 */
export function hideAfter(world: World, fromMs: number): World {
  const later = fromMs + 1;
  const hidden: World = { ...world };
  if (world.loads !== undefined)
    hidden.loads = mapValues(world.loads, ({ startMs, values }) => {
      const known = Math.max(0, Math.floor((fromMs - startMs) / world.stepMs));
      return { startMs, values: values.map((value, i) => (i < known ? value : 1_000 * (2 + Math.sin(i)))) };
    });
  if (world.holidays !== undefined)
    hidden.holidays = [
      ...world.holidays.filter((one) => one.knownAtMs <= fromMs),
      ...Array.from({ length: HIDDEN_DAYS }, (_, i) => ({
        date: new Date(fromMs + (i - 1) * DAY_MS).toISOString().slice(0, 10),
        name: "hidden",
        knownAtMs: later,
      })),
    ];
  if (world.windows !== undefined)
    hidden.windows = mapValues(world.windows, (windows) => [
      ...windows
        .filter((one) => one.knownAtMs <= fromMs)
        .map((one) =>
          one.endKnownAtMs <= fromMs ? one : { ...one, endMs: one.startMs + 3 * DAY_MS, endKnownAtMs: later },
        ),
      ...(["change", "incident", "freeze", "maintenance"] as const).map((kind) => {
        const times = { startMs: fromMs - DAY_MS, endMs: fromMs + 30 * DAY_MS };
        return { kind, ...times, share: 0.7, knownAtMs: later, endKnownAtMs: later };
      }),
    ]);
  if (world.signals !== undefined) {
    const names = [...new Set(world.signals.map((row) => row.signal))];
    hidden.signals = [
      ...world.signals.map((row) => (row.knownAtMs <= fromMs ? row : { ...row, value: row.value * 3 + 997 })),
      ...names.map((signal) => {
        const times = { startMs: fromMs - DAY_MS, endMs: fromMs + 30 * DAY_MS };
        return { signal, service: null, ...times, value: 991, knownAtMs: later };
      }),
    ];
  }
  if (world.visits !== undefined)
    hidden.visits = mapValues(world.visits, (visits) => {
      const routes = [...new Set(visits.map(({ route }) => route))].sort();
      return visits.map((visit, i) =>
        visit.atMs < fromMs ? visit : { ...visit, client: `hidden ${i % 7}`, route: routes[(i * 5) % routes.length]! },
      );
    });
  return hidden;
}

function mapValues<V>(map: ReadonlyMap<string, V>, change: (value: V) => V): Map<string, V> {
  return new Map([...map].map(([key, value]) => [key, change(value)]));
}

/** Names the content of a world. */
export function worldDigest(world: World): string {
  const hash = createHash("sha256");
  const plain = (_: string, value: unknown): unknown =>
    value instanceof Map ? [...value] : value === Number.POSITIVE_INFINITY ? "Infinity" : value;
  const { loads, visits, ...rest } = world;
  hash.update(JSON.stringify(rest, plain));
  for (const [name, { startMs, values }] of loads ?? []) {
    hash.update(JSON.stringify([name, startMs, values.length]));
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }
  for (const [name, rows] of visits ?? []) {
    hash.update(name);
    for (const { atMs, client, route } of rows) hash.update(`${atMs} ${client} ${route}\n`);
  }
  return hash.digest("hex");
}
