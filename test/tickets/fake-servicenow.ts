/**
 * FAKE: an HTTP server that speaks the part of ServiceNow's REST APIs that Ballast uses, in the documented shapes, and refuses
 * what the documentation says is refused (fake-changes.ts has the records). What it does not model it answers with 500 and
 * remembers in `unmodelled`, which every test holds empty.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Change, ChangeTable, type ChangeTableOptions, LABELS, Refusal, type User } from "./fake-changes.ts";

/** What goes wrong with the next request that fits. */
export interface Fault {
  method?: string;
  path?: RegExp;
  /**
   * - a number: answers with that status, nothing is done.   - lost: done, but the connection ends before the answer.
   * - hang: never answers.   - page: 200 with HTML, as an instance that sleeps.   - huge: an endless answer.
   * - redirect: to elsewhere.   - unchanged: an update changes nothing and says 200, as a business rule may.
   */
  what: number | "lost" | "hang" | "page" | "huge" | "redirect" | "unchanged";
  retryAfter?: string;
}

export interface FakeOptions extends ChangeTableOptions {
  users: readonly User[];
  client: { id: string; secret: string };
}

const READERS = ["change_manager", "itil", "sn_change_read", "admin"];
const WRITERS = ["change_manager", "itil", "admin"];
const MAX_BODY_BYTES = 1 << 20;

interface Call {
  method: string;
  path: string;
  query: URLSearchParams;
  body: Record<string, string> | null;
  user: User;
}

export class FakeServiceNow {
  readonly table: ChangeTable;
  readonly faults: Fault[] = [];
  /** `METHOD path` of every request but those for tokens, in order. */
  readonly requests: string[] = [];
  readonly unmodelled: string[] = [];
  /** Columns that a query may not name; such a part of a query is left out without an error. */
  readonly unsearchable = new Set<string>();
  readonly #options: FakeOptions;
  readonly #tokens = new Map<string, User>();
  readonly #refresh = new Map<string, User>();
  readonly #workers = new Map<string, { looks: number; errors: string[] }>();
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  #issued = 0;

  constructor(options: FakeOptions) {
    this.#options = options;
    this.table = new ChangeTable(options);
  }

  async start(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** Ends every token; refresh tokens only when asked. */
  expireTokens(refreshToo = false): void {
    this.#tokens.clear();
    if (refreshToo) this.#refresh.clear();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://fake");
    const method = request.method ?? "GET";
    const text = await bodyOf(request);
    if (url.pathname !== "/oauth_token.do") this.requests.push(`${method} ${url.pathname}`);
    const index = this.faults.findIndex((f) => (f.method ?? method) === method && (f.path ?? /^/).test(url.pathname));
    const fault = index < 0 ? undefined : this.faults.splice(index, 1)[0];
    const reply = (status: number, body: unknown, headers: Record<string, string> = {}) =>
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
    switch (fault?.what) {
      case "hang":
        return;
      case "page":
        response.writeHead(200, { "content-type": "text/html" }).end("<html>Your instance is hibernating</html>");
        return;
      case "redirect":
        response.writeHead(302, { location: "http://127.0.0.1:1/" }).end();
        return;
      case "huge":
        response.writeHead(200, { "content-type": "application/json" }).write('{"result":"');
        endless(response);
        return;
      default:
    }
    if (typeof fault?.what === "number") {
      const limited = fault.what === 429;
      const error = limited
        ? {
            message: "Rate limit exceeded",
            detail: "Rate limit of 10 requests per hour for Change Management exceeded",
          }
        : { message: "Internal error", detail: `fault ${fault.what}` };
      reply(
        fault.what,
        { error, status: "failure" },
        fault.retryAfter === undefined ? {} : { "retry-after": fault.retryAfter },
      );
      return;
    }
    try {
      if (url.pathname === "/oauth_token.do") return void reply(200, this.#token(request, text));
      const call: Call = {
        method,
        path: url.pathname,
        query: url.searchParams,
        user: this.#userOf(request),
        body: jsonBody(request, text),
      };
      if (!(request.headers.accept ?? "").includes("application/json")) throw new Refusal(406, "Not acceptable");
      const allowed = method === "GET" ? READERS : WRITERS;
      if (!call.user.roles.some((role) => allowed.includes(role))) throw new Refusal(403, "User Not Authorized");
      if (fault?.what === "unchanged") call.body = {};
      const [status, result] = this.#route(call);
      if (fault?.what === "lost") return void request.socket.destroy();
      reply(status, { result });
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) {
        this.unmodelled.push(`${method} ${url.pathname}: ${(thrown as Error).message}`);
        return void reply(500, { error: { message: "not modelled", detail: String(thrown) }, status: "failure" });
      }
      const detail = thrown.status === 401 ? "Required to provide Auth information" : "";
      const error =
        thrown.status === 401 ? { message: "User Not Authenticated", detail } : { message: thrown.message, detail };
      reply(thrown.status, { error, status: "failure" });
    }
  }

  #userOf(request: IncomingMessage): User {
    const [scheme, value = ""] = (request.headers.authorization ?? "").split(" ");
    if (scheme === "Bearer" && this.#tokens.has(value)) return this.#tokens.get(value)!;
    if (scheme === "Basic") {
      const given = Buffer.from(value, "base64").toString("utf8");
      const user = this.#options.users.find(({ account, password }) => `${account}:${password}` === given);
      if (user !== undefined) return user;
    }
    throw new Refusal(401, "User Not Authenticated");
  }

  /** Grants password and refresh_token; a form is demanded. */
  #token(request: IncomingMessage, text: string): Record<string, unknown> {
    if (request.headers["content-type"] !== "application/x-www-form-urlencoded") throw new Refusal(400, "server_error");
    const form = new URLSearchParams(text);
    const { client, users } = this.#options;
    if (form.get("client_id") !== client.id || form.get("client_secret") !== client.secret)
      throw new Refusal(401, "access_denied");
    let user: User | undefined;
    if (form.get("grant_type") === "refresh_token") user = this.#refresh.get(form.get("refresh_token") ?? "");
    if (form.get("grant_type") === "password") {
      user = users.find((one) => one.account === form.get("username") && one.password === form.get("password"));
    }
    if (user === undefined) throw new Refusal(401, "access_denied");
    const [access, refresh] = [`access-${++this.#issued}`, `refresh-${this.#issued}`];
    this.#tokens.set(access, user);
    this.#refresh.set(refresh, user);
    return {
      access_token: access,
      refresh_token: refresh,
      scope: "useraccount",
      token_type: "Bearer",
      expires_in: 1799,
    };
  }

  #route(call: Call): [status: number, result: unknown] {
    const { table } = this;
    const { method, path, body, user, query } = call;
    if (method === "GET" && path === "/api/now/table/sysapproval_approver") return [200, this.#approvers(query)];
    const parts = /^\/api\/sn_chg_rest\/change(?:\/(.+))?$/.exec(path)?.[1]?.split("/") ?? [];
    if (!path.startsWith("/api/sn_chg_rest/change"))
      throw new Refusal(400, "Requested URI does not represent any resource");
    const [first, second] = parts;
    if (method === "GET" && first === undefined) return [200, this.#search(query)];
    if (method === "POST" && first === undefined) {
      if (body === null || (body.type === undefined && body.chg_model === undefined))
        throw new Error("neither type nor chg_model");
      const { change, ignored } = table.create(body, user);
      return [200, this.#record(change, ignored)];
    }
    if (method === "POST" && first === "standard" && second !== undefined) {
      if (body !== null) throw new Error("a standard change takes its fields from the query");
      const { change, ignored } = table.createStandard(second, Object.fromEntries(query), user);
      return [200, [this.#record(change, ignored)]];
    }
    if (method === "GET" && first === "worker") return [200, this.#worker(second ?? "")];
    if (first === undefined || !/^[0-9a-f]{32}$/.test(first)) throw new Error("not modelled");
    const change = table.get(first);
    switch (`${method} ${second ?? ""}`) {
      case "GET ":
        return [200, this.#record(change)];
      case "PATCH ":
        return [200, this.#record(change, table.update(change, body ?? {}))];
      case "GET nextstates": {
        const states = table.nextStates(change);
        return [200, { available_states: states, state_label: Object.fromEntries(states.map((s) => [s, LABELS[s]])) }];
      }
      case "PATCH approvals":
        table.decide(change, user, body?.state ?? "", body?.comments ?? "");
        return [200, [this.#record(change)]];
      case "POST conflict":
        return [200, table.startCheck(change)];
      case "GET conflict":
        return [200, checkOf(change)];
      case "POST ci": {
        if (body?.association_type !== "affected") throw new Error("only affected CIs are modelled");
        const id = createHash("md5").update(`worker ${this.#workers.size}`).digest("hex");
        this.#workers.set(id, { looks: 1, errors: table.affect(change, (body.cmdb_ci_sys_ids ?? "").split(",")) });
        return [202, workerOf(id, 1, [])];
      }
      default:
        throw new Error("not modelled");
    }
  }

  /** What it does not understand of a query it leaves out, as the product does. */
  #search(query: URLSearchParams): unknown[] {
    const terms = (query.get("sysparm_query") ?? "").split("^").flatMap((term) => {
      const match = /^(correlation_id|number|type)=(.*)$/.exec(term);
      return match === null || this.unsearchable.has(match[1]!) ? [] : [[match[1]!, match[2]!] as const];
    });
    const found = [...this.table.changes.values()].filter(({ fields }) =>
      terms.every(([name, value]) => fields.get(name) === value),
    );
    return found.slice(0, Number(query.get("sysparm_limit") ?? 500)).map((change) => this.#record(change));
  }

  #approvers(query: URLSearchParams): unknown[] {
    const id = /(?:^|\^)sysapproval=([0-9a-f]{32})/.exec(query.get("sysparm_query") ?? "")?.[1];
    const states = /stateIN([a-z,]+)/.exec(query.get("sysparm_query") ?? "")?.[1]?.split(",");
    if (id === undefined || query.get("sysparm_display_value") !== "all") throw new Error("not modelled");
    const rows = (this.table.changes.get(id)?.approvers ?? []).filter(({ state }) => states?.includes(state) ?? true);
    const both = (value: string, display = value) => ({ value, display_value: display });
    return rows
      .toSorted((a, b) => (a.updatedOn < b.updatedOn ? 1 : -1))
      .map(({ user, state, comments, updatedOn }) => ({
        state: both(state),
        approver: {
          ...both(createHash("md5").update(user.account).digest("hex"), user.fullName),
          link: "http://fake/user",
        },
        "approver.user_name": both(user.account),
        "approver.email": both(user.email),
        comments: both("", comments),
        sys_updated_on: both(updatedOn),
      }));
  }

  #record({ sysId, fields }: Change, ignored: readonly string[] = []): Record<string, unknown> {
    const record: Record<string, unknown> = {
      sys_id: { value: sysId, display_value: sysId },
      ...(ignored.length === 0 ? {} : { __meta: { ignoredFields: ignored } }),
    };
    for (const [name, value] of fields) record[name] = { value, display_value: value };
    const state = fields.get("state")!;
    record.state = { value: Number(state), display_value: LABELS[state] };
    const opener = this.#options.users.find(({ account }) => account === fields.get("opened_by"))!;
    record.opened_by = {
      value: createHash("md5").update(opener.account).digest("hex"),
      display_value: opener.fullName,
    };
    return record;
  }

  #worker(id: string): unknown {
    const worker = this.#workers.get(id);
    if (worker === undefined) throw new Refusal(404, "No Record found");
    if (worker.looks-- > 0) return workerOf(id, 2, []);
    return workerOf(id, worker.errors.length > 0 ? 4 : 3, worker.errors);
  }
}

function checkOf(change: Change): unknown {
  const check = change.earlierCheck ?? change.check;
  change.earlierCheck = null;
  if (check === null) return { status: "Not Run", last_run: "", record_count: "0", job_status: "", conflicts: [] };
  const running = check.looksLeft-- > 0;
  // "Conflict" also when there is none: the documentation says so.
  return {
    status: "Conflict",
    last_run: check.lastRun,
    record_count: "1",
    job_status: running ? "1" : "2",
    conflicts: running
      ? []
      : check.conflicts.map(({ type, label }) => ({ type: { value: type, display_value: label } })),
  };
}

function workerOf(id: string, state: 1 | 2 | 3 | 4, errors: readonly string[]): unknown {
  const label = ["", "Waiting", "In-Progress", "Complete", "Error"][state];
  return {
    worker: { sysId: id, link: `http://fake/api/sn_chg_rest/change/worker/${id}` },
    state: { value: state, display_value: label },
    type: "affected",
    messages: { errorMessages: errors, warningMessages: [], infoMessages: [] },
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BODY_BYTES) throw new Error("the request is too large");
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function jsonBody(request: IncomingMessage, text: string): Record<string, string> | null {
  if (text === "") return null;
  if (request.headers["content-type"] !== "application/json") throw new Refusal(415, "Unsupported media type");
  return JSON.parse(text) as Record<string, string>;
}

function endless(response: ServerResponse): void {
  const chunk = "x".repeat(64 << 10);
  const more = () => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on("drain", more);
  more();
}
