import { timeMs } from "../history/time.ts";

const MAX_ROUTE_CHARS = 120;
/** ADDRESS - USER [17/May/2015:10:05:03 +0000] "GET /path HTTP/1.1" 200 … (Apache and nginx, common and combined). */
const COMBINED = /^(\S+) \S+ \S+ \[(\d{2})\/(\w{3})\/(\d{4}):(\d{2}:\d{2}:\d{2}) ([+-]\d{4})\] "[A-Z]+ (\S+)/;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const TIME_KEYS = ["start_time", "timestamp", "@timestamp", "time"];
const PATH_KEYS = ["path", "x_envoy_original_path", ":path", "uri"];
const CLIENT_KEYS = ["x_forwarded_for", "downstream_remote_address", "client", "remote_addr"];
const SERVICE_KEYS = ["route_name", "route", "authority", ":authority", "host"];
const DURATION_KEYS = ["duration", "duration_ms"];
/** A longer request is a stream; it is known when it began. */
const MAX_DURATION_MS = 3_600_000;

/** One request of an access log. */
export interface LoggedRequest {
  /** When the line could be known: at the end of the request where the line says how long it took, else at its time. */
  atMs: number;
  client: string;
  path: string;
  /** null: the format names none. */
  service: string | null;
}

/** Of Envoy's JSON lines, or of the common and combined formats of Apache and nginx; null for anything else. */
export function parseRequest(line: string): LoggedRequest | null {
  return line.startsWith("{") ? ofJson(line) : ofCombined(line);
}

function ofJson(text: string): LoggedRequest | null {
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
  const duration = Number(DURATION_KEYS.map((key) => record[key]).find((value) => value !== undefined) ?? 0);
  const tookMs = duration > 0 && duration <= MAX_DURATION_MS ? duration : 0;
  // The port of a connection is another at every request.
  return {
    atMs: atMs + tookMs,
    path,
    client: client.split(",", 1)[0]!.replace(/:\d+$/, ""),
    service: first(SERVICE_KEYS),
  };
}

function ofCombined(text: string): LoggedRequest | null {
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
