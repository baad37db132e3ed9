import type { Visit } from "../../ingest/covariates/route-visits.ts";
import { columnsOf, firstAt, merged, nameOf, type VisitColumns } from "../../ingest/covariates/visit-columns.ts";
import type { FeatureGroup, GroupColumn } from "./group.ts";
import { DIMENSIONS, embedRoutes, type RouteEmbedding } from "./route-embedding.ts";
import type { World } from "./world.ts";

/** Span of the mix; at least a step. */
export const MIX_MS = 5 * 60_000;
/** The span before it that it is compared with is so many times as long. */
const BEFORE_FACTOR = 12;
/** Visits of a span that are looked at, the newest. */
export const MAX_VISITS = 20_000;
/** A proxy writes its log some seconds late (Envoy: every 10 s). What happened so shortly before an origin counts as not known there. */
export const LOG_DELAY_MS = 15_000;

/** Where the spans end and begin that are looked at, as distances before an origin. */
export function behaviourSpans(stepMs: number): { end: number; between: number; start: number } {
  const span = Math.max(MIX_MS, stepMs);
  return { end: LOG_DELAY_MS, between: LOG_DELAY_MS + span, start: LOG_DELAY_MS + span * (1 + BEFORE_FACTOR) };
}

const COLUMNS: readonly GroupColumn[] = [
  ...Array.from({ length: DIMENSIONS }, (_, i) => column(`behaviour_mix_${i + 1}`, "embedding")),
  column("behaviour_move", "embedding"),
  column("behaviour_clients", "log ratio"),
];

function column(name: string, unit: string): GroupColumn {
  return { name, unit, known: "late" };
}

/**
 * What the clients of a service and of those coupled to it are doing: the mean over clients of the IDF-weighted mean of the embeddings of the routes that each
 * visited in the last five minutes (or step), how far that is from the hour before, and how many clients there are against it.
 * Clients who fill a basket now pay in a quarter of an hour. The embedding is fitted on the training span and kept in the manifest.
 */
export const behaviour: FeatureGroup<RouteEmbedding> = {
  name: "behaviour",
  version: 2,
  fit: (world, fitToMs) => {
    const all = [...(world.visits?.values() ?? [])].flatMap((visits) => visits.filter(({ atMs }) => atMs < fitToMs));
    // One client walks through several services: its session is seen whole.
    return embedRoutes(all.sort((a, b) => a.atMs - b.atMs || (a.client < b.client ? -1 : a.client > b.client ? 1 : 0)));
  },
  columns: () => COLUMNS,
  needs: () => ["visits"],
  prepare: ({ routes, idf, vectors }, world, service) => {
    const index = new Map(routes.map((route, i) => [nameOf(route), i]));
    const visits = visitsAround(world, service);
    const mix = (fromMs: number, toMs: number): { mean: Float64Array; clients: number } => {
      const to = firstAt(visits, toMs);
      const from = Math.max(firstAt(visits, fromMs), to - MAX_VISITS);
      const byClient = new Map<number, { sum: Float64Array; weight: number }>();
      for (let i = from; i < to; i++) {
        let one = byClient.get(visits.clients[i]!);
        if (one === undefined) {
          one = { sum: new Float64Array(DIMENSIONS), weight: 0 };
          byClient.set(visits.clients[i]!, one);
        }
        const at = index.get(visits.routes[i]!);
        if (at === undefined) continue;
        one.weight += idf[at]!;
        for (let d = 0; d < DIMENSIONS; d++) one.sum[d]! += idf[at]! * vectors[at]![d]!;
      }
      const mean = new Float64Array(DIMENSIONS);
      for (const { sum, weight } of byClient.values())
        if (weight > 0) for (let d = 0; d < DIMENSIONS; d++) mean[d]! += sum[d]! / weight / byClient.size;
      return { mean, clients: byClient.size };
    };
    return ({ originMs, stepMs }) => {
      const { end, between, start } = behaviourSpans(stepMs);
      const now = mix(originMs - between, originMs - end);
      const before = mix(originMs - start, originMs - between);
      const values = new Float32Array(COLUMNS.length);
      values.set(now.mean);
      values[DIMENSIONS] = Math.hypot(...now.mean.map((value, d) => value - before.mean[d]!));
      values[DIMENSIONS + 1] = Math.log((now.clients + 1) / (before.clients / BEFORE_FACTOR + 1));
      return (_, row, at) => {
        row.set(values, at);
      };
    };
  },
};

/** The services whose visits are looked at: who fills a basket in the shop is about to ask for payments. */
export function visitedServices({ neighbours }: Pick<World, "neighbours">, service: string): string[] {
  return [...new Set([service, ...(neighbours?.get(service) ?? []).map((one) => one.service)])];
}

const none: VisitColumns = columnsOf([]);

function visitsAround(world: World, service: string): VisitColumns {
  const found = visitedServices(world, service).flatMap((name) => {
    const visits = world.visits?.get(name);
    return world.visitColumns?.get(name) ?? (visits === undefined ? [] : cached(visits));
  });
  return found.length === 0 ? none : merged(found);
}

/** Neighbours look at the same visits again and again. */
const columns = new WeakMap<readonly Visit[], VisitColumns>();
function cached(visits: readonly Visit[]): VisitColumns {
  let found = columns.get(visits);
  if (found === undefined) {
    found = columnsOf(visits);
    columns.set(visits, found);
  }
  return found;
}
