import type { FeatureGroup, GroupColumn } from "./group.ts";
import { DIMENSIONS, embedRoutes, type RouteEmbedding } from "./route-embedding.ts";
import type { Visit, World } from "./world.ts";

/** Span of the mix, and of the one it is compared with; at least as many steps. */
const MIX_MS = 5 * 60_000;
const MIX_STEPS = 1;
const BEFORE_FACTOR = 12;
/** Visits of a span that are looked at, the newest. */
const MAX_VISITS = 20_000;

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
  version: 1,
  fit: (world, fitToMs) => {
    const all = [...(world.visits?.values() ?? [])].flatMap((visits) => visits.filter(({ atMs }) => atMs < fitToMs));
    // One client walks through several services: its session is seen whole.
    return embedRoutes(all.sort((a, b) => a.atMs - b.atMs || (a.client < b.client ? -1 : a.client > b.client ? 1 : 0)));
  },
  columns: () => COLUMNS,
  needs: () => ["visits"],
  prepare: ({ routes, idf, vectors }, world, service) => {
    const index = new Map(routes.map((route, i) => [route, i]));
    const visits = visitsAround(world, service);
    const mix = (fromMs: number, toMs: number): { mean: Float64Array; clients: number } => {
      const to = firstAt(visits, toMs);
      const from = Math.max(firstAt(visits, fromMs), to - MAX_VISITS);
      const byClient = new Map<string, { sum: Float64Array; weight: number }>();
      for (let i = from; i < to; i++) {
        const { client, route } = visits[i]!;
        let one = byClient.get(client);
        if (one === undefined) {
          one = { sum: new Float64Array(DIMENSIONS), weight: 0 };
          byClient.set(client, one);
        }
        const at = index.get(route);
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
      const span = Math.max(MIX_MS, MIX_STEPS * stepMs);
      const now = mix(originMs - span, originMs);
      const before = mix(originMs - span * (1 + BEFORE_FACTOR), originMs - span);
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

/** Of a service and of the ones coupled to it, in order of time: who fills a basket in the shop is about to ask for payments. */
function visitsAround(world: World, service: string): readonly Visit[] {
  const names = new Set([service, ...(world.neighbours?.get(service) ?? []).map((one) => one.service)]);
  const all = [...names].flatMap((name) => world.visits?.get(name) ?? []);
  return names.size === 1
    ? all
    : all.sort((a, b) => a.atMs - b.atMs || Number(a.client > b.client) - Number(a.client < b.client));
}

/** Index of the first visit at or after a time. */
function firstAt(visits: readonly Visit[], ms: number): number {
  let low = 0;
  let high = visits.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (visits[middle]!.atMs < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}
