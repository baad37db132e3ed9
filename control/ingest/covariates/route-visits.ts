import { BallastError } from "../../../common/errors.ts";
import type { Visit } from "../../features/groups/world.ts";
import { lines } from "../history/lines.ts";
import { timeMs } from "../history/time.ts";

/** Visits kept; the newest would be lost beyond it, so more is refused. */
const MAX_VISITS = 2_000_000;
/** Lines that cannot be read are counted up to this share; a file that is something else is refused. */
const MAX_UNREADABLE_SHARE = 0.1;
const MAX_ROUTE_CHARS = 120;
/** ADDRESS - USER [17/May/2015:10:05:03 +0000] "GET /path HTTP/1.1" 200 … (Apache and nginx, common and combined). */
const COMBINED = /^(\S+) \S+ \S+ \[(\d{2})\/(\w{3})\/(\d{4}):(\d{2}:\d{2}:\d{2}) ([+-]\d{4})\] "[A-Z]+ (\S+)/;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const TIME_KEYS = ["start_time", "timestamp", "@timestamp", "time"];
const PATH_KEYS = ["path", "x_envoy_original_path", ":path", "uri"];
const CLIENT_KEYS = ["x_forwarded_for", "downstream_remote_address", "client", "remote_addr"];
const SERVICE_KEYS = ["route_name", "route", "authority", ":authority", "host"];

export interface RouteVisits {
  /** By service, in order of time. */
  visits: Map<string, Visit[]>;
  /** Lines that were no request. */
  unreadable: number;
}

/**
 * Who visited which route when, from an access log: Envoy's JSON lines, or the common and combined formats of Apache and nginx (which
 * name no service: `service` does). Clients become numbers in the order in which they appear and routes lose their query, numbers and
 * long hexadecimal parts, so nothing that names a person is kept. Throws COVARIATE_INVALID.
 */
export async function readRouteVisits(file: string, service: string | null): Promise<RouteVisits> {
  const visits = new Map<string, Visit[]>();
  const clients = new Map<string, string>();
  let unreadable = 0;
  let read = 0;
  let count = 0;
  const fail = (what: string, line?: number): never => {
    throw new BallastError("COVARIATE_INVALID", what, { position: line === undefined ? { file } : { file, line } });
  };
  for await (const [line, text] of readable(file, fail)) {
    if (text?.trim() === "") continue;
    read++;
    const request = text === null ? null : text.startsWith("{") ? ofJson(text) : ofCombined(text);
    const name = service ?? request?.service ?? null;
    if (request === null || name === null) {
      unreadable++;
      continue;
    }
    if (count++ === MAX_VISITS) fail(`more than ${MAX_VISITS} requests; give a shorter span`, line);
    let client = clients.get(request.client);
    if (client === undefined) {
      client = String(clients.size);
      clients.set(request.client, client);
    }
    const of = visits.get(name) ?? [];
    visits.set(name, of);
    of.push({ atMs: request.atMs, client, route: routeOf(request.path) });
  }
  if (read === 0) fail("an empty file");
  if (unreadable > MAX_UNREADABLE_SHARE * read)
    fail(
      `${unreadable} of ${read} lines are no request of a known format${service === null ? " that names its service" : ""}`,
    );
  for (const of of visits.values()) of.sort((a, b) => a.atMs - b.atMs);
  return { visits, unreadable };
}

async function* readable(file: string, fail: (what: string) => never): AsyncGenerator<[number, string | null]> {
  try {
    yield* lines(file);
  } catch (cause) {
    if (cause instanceof BallastError && cause.code === "HISTORY_INVALID") fail(cause.message.replace(/^\w+: /, ""));
    throw cause;
  }
}

interface Request {
  atMs: number;
  client: string;
  path: string;
  service: string | null;
}

function ofJson(text: string): Request | null {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
  const first = (keys: readonly string[]): string | null => {
    const found = keys
      .map((key) => record[key])
      .find((value) => typeof value === "string" && value !== "" && value !== "-");
    return (found as string | undefined) ?? null;
  };
  const atMs = timeMs(TIME_KEYS.map((key) => record[key]).find((value) => value !== undefined));
  const path = first(PATH_KEYS);
  const client = first(CLIENT_KEYS);
  if (Number.isNaN(atMs) || path === null || client === null) return null;
  // The port of a connection is another at every request.
  return { atMs, path, client: client.split(",", 1)[0]!.replace(/:\d+$/, ""), service: first(SERVICE_KEYS) };
}

function ofCombined(text: string): Request | null {
  const match = COMBINED.exec(text);
  if (match === null) return null;
  const [, client, day, month, year, clock, zone, path] = match as unknown as string[];
  const number = MONTHS.indexOf(month!) + 1;
  const atMs = Date.parse(
    `${year}-${String(number).padStart(2, "0")}-${day}T${clock}${zone!.slice(0, 3)}:${zone!.slice(3)}`,
  );
  return number === 0 || Number.isNaN(atMs) ? null : { atMs, client: client!, path: path!, service: null };
}

/** The shape of a path: without its query, with `*` for what is an id. */
export function routeOf(path: string): string {
  const shape = path
    .split(/[?#]/, 1)[0]!
    .split("/")
    .map((part) => (/^\d+$|^[0-9a-f-]{16,}$|@/i.test(part) ? "*" : part))
    .join("/");
  return shape.slice(0, MAX_ROUTE_CHARS) || "/";
}
