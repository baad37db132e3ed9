import type { Visit } from "../../ingest/covariates/route-visits.ts";
import { SeededRandom } from "../seeded-random.ts";

/*
 * Route embeddings from sessions: positive pointwise mutual information of routes within a window, factored by a truncated SVD
 * (Levy & Goldberg 2014: what skip-gram with negative sampling factors implicitly).
 */

export const DIMENSIONS = 8;
/** A client that is silent for longer has begun a new session. */
export const SESSION_GAP_MS = 30 * 60_000;
/** Routes this many visits apart count as met. */
const CONTEXT_VISITS = 5;
/** A route that fewer clients asked for is left out: it might name one person. */
const LEAST_CLIENTS = 5;
/** The matrix has the square of it; the rest of the routes is the long tail. */
const MAX_ROUTES = 256;
/** Enough for the eighth singular value of a matrix of this size to settle to six digits in practice. */
const ITERATIONS = 80;

export interface RouteEmbedding {
  routes: string[];
  /** By route: log(sessions / sessions with it); a route in every session says nothing. */
  idf: number[];
  /** By route DIMENSIONS numbers, rounded to six decimals so that the manifest stays small. */
  vectors: number[][];
}

/** Deterministic: the same visits in the same order give the same bytes. */
export function embedRoutes(visits: readonly Visit[]): RouteEmbedding {
  const sessions = sessionsOf(visits);
  const clients = new Map<string, Set<string>>();
  for (const { client, route } of visits) {
    const seen = clients.get(route);
    if (seen === undefined) clients.set(route, new Set([client]));
    else seen.add(client);
  }
  const routes = [...clients]
    .filter(([, seen]) => seen.size >= LEAST_CLIENTS)
    .sort(([a, x], [b, y]) => y.size - x.size || (a < b ? -1 : 1))
    .slice(0, MAX_ROUTES)
    .map(([route]) => route);
  const index = new Map(routes.map((route, i) => [route, i]));
  const known = sessions.map((session) => session.flatMap((route) => index.get(route) ?? []));
  const containing = new Float64Array(routes.length);
  for (const session of known) for (const i of new Set(session)) containing[i]!++;
  const idf = Array.from(containing, (count) => round(Math.log(Math.max(1, known.length) / Math.max(1, count))));
  return { routes, idf, vectors: factor(mutualInformation(known, routes.length), routes.length) };
}

/** Routes of each session, in order of time. `visits` are in order of time. */
function sessionsOf(visits: readonly Visit[]): string[][] {
  const open = new Map<string, { lastMs: number; routes: string[] }>();
  const sessions: string[][] = [];
  for (const { atMs, client, route } of visits) {
    const session = open.get(client);
    if (session !== undefined && atMs - session.lastMs <= SESSION_GAP_MS) {
      session.lastMs = atMs;
      session.routes.push(route);
      continue;
    }
    const begun = { lastMs: atMs, routes: [route] };
    open.set(client, begun);
    sessions.push(begun.routes);
  }
  return sessions;
}

function mutualInformation(sessions: readonly number[][], n: number): Float64Array {
  const counts = new Float64Array(n * n);
  for (const session of sessions)
    for (const [at, i] of session.entries())
      for (let k = at + 1; k < Math.min(session.length, at + 1 + CONTEXT_VISITS); k++) {
        const j = session[k]!;
        counts[i * n + j]!++;
        counts[j * n + i]!++;
      }
  const sums = new Float64Array(n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) sums[i]! += counts[i * n + j]!;
  const total = sums.reduce((sum, one) => sum + one, 0);
  return counts.map((count, at) => {
    const expected = sums[Math.floor(at / n)]! * sums[at % n]!;
    return count === 0 ? 0 : Math.max(0, Math.log((count * total) / expected));
  });
}

/** Rows of U·√Σ of a symmetric matrix by orthogonal iteration; each column's largest entry is positive. */
function factor(matrix: Float64Array, n: number): number[][] {
  const d = Math.min(DIMENSIONS, n);
  const random = new SeededRandom(1);
  const columns: Float64Array[] = Array.from({ length: d }, () =>
    Float64Array.from({ length: n }, () => random.normal()),
  );
  const lengths = new Float64Array(d);
  for (let step = 0; step < ITERATIONS; step++) {
    for (let c = 0; c < d; c++) columns[c] = times(matrix, columns[c]!, n);
    for (let c = 0; c < d; c++) {
      const column = columns[c]!;
      for (let b = 0; b < c; b++) {
        const along = dot(column, columns[b]!);
        for (let i = 0; i < n; i++) column[i]! -= along * columns[b]![i]!;
      }
      lengths[c] = Math.sqrt(dot(column, column));
      // A matrix of lower rank leaves nothing here; the column stays nought.
      const unit = lengths[c]! > 1e-9 ? 1 / lengths[c]! : 0;
      for (let i = 0; i < n; i++) column[i]! *= unit;
    }
  }
  for (const column of columns) {
    let largest = 0;
    for (const value of column) if (Math.abs(value) > Math.abs(largest) + 1e-9) largest = value;
    if (largest < 0) for (let i = 0; i < n; i++) column[i]! *= -1;
  }
  return Array.from({ length: n }, (_, i) =>
    Array.from({ length: DIMENSIONS }, (_, c) => (c < d ? round(columns[c]![i]! * Math.sqrt(lengths[c]!)) : 0)),
  );
}

function times(matrix: Float64Array, vector: Float64Array, n: number): Float64Array {
  const out = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    const row = i * n;
    for (let j = 0; j < n; j++) sum += matrix[row + j]! * vector[j]!;
    out[i] = sum;
  }
  return out;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function round(value: number): number {
  return Math.round(value * 1e6) / 1e6 || 0;
}
