import { BallastError } from "../../../common/errors.ts";
import { lines } from "../history/lines.ts";
import { parseRequest, routeOf } from "./access-log-request.ts";

/** Visits kept; the newest would be lost beyond it, so more is refused. */
const MAX_VISITS = 2_000_000;
/** Lines that cannot be read are counted up to this share; a file that is something else is refused. */
const MAX_UNREADABLE_SHARE = 0.1;

export interface Visit {
  atMs: number;
  /** Names one client within the log; nothing else is done with it. */
  client: string;
  route: string;
}

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
 * @param clients their numbers so far: one client in several logs is one
 */
export async function readRouteVisits(
  file: string,
  service: string | null,
  clients = new Map<string, string>(),
): Promise<RouteVisits> {
  const visits = new Map<string, Visit[]>();
  let unreadable = 0;
  let read = 0;
  let count = 0;
  const fail = (what: string, line?: number): never => {
    throw new BallastError("COVARIATE_INVALID", what, { position: line === undefined ? { file } : { file, line } });
  };
  for await (const [line, text] of readable(file, fail)) {
    if (text?.trim() === "") continue;
    read++;
    const request = text === null ? null : parseRequest(text);
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
