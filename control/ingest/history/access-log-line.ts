import { timeMs } from "./time.ts";

/** What names the service of a request. Envoy's default text format has no route name. */
export type AccessLogKey = "route" | "authority";

export interface AccessLogFields {
  by: AccessLogKey;
  /** Keys of a JSON log whose names are one's own; default: the usual ones, below. */
  timeField?: string;
  serviceField?: string;
}

export interface LoggedRequest {
  atMs: number;
  /** null: Envoy found no route, or the client named no authority. */
  service: string | null;
}

const TIME_FIELDS = ["start_time", "timestamp", "@timestamp", "time"];
const SERVICE_FIELDS: Record<AccessLogKey, readonly string[]> = {
  route: ["route_name", "route"],
  authority: ["authority", ":authority", "host"],
};

/**
 * One line of an Envoy access log: a JSON object, or the default text format
 *   [START_TIME] "METHOD PATH PROTOCOL" CODE FLAGS … "X-FORWARDED-FOR" "USER-AGENT" "X-REQUEST-ID" "AUTHORITY" "UPSTREAM_HOST"
 * A text line is read from both ends: paths and user agents come from clients, Envoy does not escape quotes in them.
 * @returns the request, or a sentence on what was expected
 */
export function parseAccessLogLine(line: string, fields: AccessLogFields): LoggedRequest | string {
  return line.startsWith("{") ? json(line, fields) : text(line, fields.by);
}

function json(line: string, { by, timeField, serviceField }: AccessLogFields): LoggedRequest | string {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return "not JSON, though it begins like it";
  }
  const key = (own: string | undefined, usual: readonly string[]): string | undefined =>
    own ?? usual.find((name) => Object.hasOwn(record, name));
  const time = key(timeField, TIME_FIELDS);
  const atMs = time === undefined ? Number.NaN : timeMs(record[time]);
  if (Number.isNaN(atMs)) return `no time with its zone in ${timeField ?? TIME_FIELDS.join(", ")}`;
  const name = key(serviceField, SERVICE_FIELDS[by]);
  return named(atMs, name === undefined ? undefined : record[name], serviceField ?? SERVICE_FIELDS[by].join(", "));
}

function text(line: string, by: AccessLogKey): LoggedRequest | string {
  const start = /^\[([^\]]{10,40})\] "/.exec(line);
  if (start === null) return "neither a JSON object nor Envoy's default text format";
  const atMs = timeMs(start[1]);
  if (Number.isNaN(atMs)) return "no time with its zone in the brackets";
  if (by === "route")
    return "the default text format has no route name; count by authority, or log JSON with route_name";
  // Both are linear in the line: no field may run over a quote. The counts after the code tell it from other formats.
  const counts = /" \d{1,3} \S{1,64} \d+ \d+ (\d+|-) (\d+|-) "/.test(line);
  const end = / "[^"]*" "([^"]*)" "[^"]*"$/.exec(line);
  if (end === null || !counts) return "the fields are not those of Envoy's default text format";
  return named(atMs, end[1], "authority");
}

/** Envoy writes `-` (text) or null (JSON) where there is none. */
function named(atMs: number, service: unknown, where: string): LoggedRequest | string {
  if (service === null || service === "" || service === "-") return { atMs, service: null };
  return typeof service === "string" ? { atMs, service } : `no service in ${where}`;
}
