import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { z } from "zod";
import { ERROR_CODES } from "../../common/error-codes.ts";
import { BallastError } from "../../common/errors.ts";
import type { Role } from "../config/access.ts";
import { isLoopback } from "../config/values.ts";
import { actorOf, type Caller, Doorkeeper, requireRole } from "./api-access.ts";

export interface ApiRequest<Body = unknown> {
  body: Body;
  /** Of the path: `{epoch}` in `/v1/changes/{epoch}/approve`. */
  params: Readonly<Record<string, string>>;
  query: URLSearchParams;
  caller: Caller;
  /** The name under which the call acts: the caller's, else the one that the body gives. */
  actor(given: string | undefined): string;
}

/** An answer that is not JSON, or not 200. */
export class ApiAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;

  constructor(status: number, contentType: string, text: string) {
    this.status = status;
    this.contentType = contentType;
    this.text = text;
  }
}

export interface ApiRoute {
  method: "GET" | "POST";
  /** With `{name}` for one segment. */
  path: string;
  summary: string;
  /** Null: anybody who reaches the socket. */
  role: Role | null;
  body: z.ZodType | null;
  /** Null: text. */
  answer: z.ZodType | null;
  /** Of the query; the route reads them itself. */
  query?: Readonly<Record<string, { schema: z.ZodType; description: string }>>;
  /** Answers of other statuses than 200 that are no errors. */
  otherAnswers?: Readonly<Record<number, { schema: z.ZodType; description: string }>>;
  handle(request: ApiRequest<never>): unknown | Promise<unknown>;
}

export interface ApiServerOptions {
  host: string;
  port: number;
  /** Read at every request, so that a server can answer before all of it is there. */
  routes: () => readonly ApiRoute[];
  /** Why a path is not served that the whole server would serve; null: it knows none such. */
  notServed?: () => BallastError | null;
  doorkeeper?: Doorkeeper;
  /** PEM. With `clientCa` clients are asked for a certificate; who shows none needs a token. */
  tls?: { cert: Buffer; key: Buffer; clientCa: Buffer | null };
  /** Larger bodies are refused before they are buffered. Default 256 KiB. */
  maxBodyBytes?: number;
  /** Every answer is held against its schema, for tests: one that does not fit is INTERNAL. */
  checkAnswers?: boolean;
}

export interface ApiServer {
  port: number;
  stop(): Promise<void>;
}

const MAX_CONNECTIONS = 256;
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * The HTTP API. Errors are `{code, message, hint}` with the codes of docs/reference/errors.md. Requests from a browser page of
 * another site are refused by their Origin, so that a visited page cannot steer. Throws API_TLS_REQUIRED or PORT_TAKEN.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  if (options.tls === undefined && !isLoopback(options.host)) {
    throw new BallastError("API_TLS_REQUIRED", `${options.host} is not a loopback address and no TLS is configured`);
  }
  const settings = { doorkeeper: new Doorkeeper({ tokens: [], identities: [] }), maxBodyBytes: 262_144, ...options };
  const listener: RequestListener = (request, response) => {
    answer(request, settings).then(
      (reply) => send(response, reply),
      (thrown) => {
        const error = BallastError.from(thrown, "INTERNAL");
        const text = JSON.stringify({ code: error.code, message: error.message, hint: error.hint });
        // What is left of a body that was refused must not be taken for the next request.
        if (!request.complete) response.setHeader("connection", "close");
        if (error.code === "API_UNAUTHORIZED") response.setHeader("www-authenticate", "Bearer");
        send(response, new ApiAnswer(statusOf(error), "application/json", `${text}\n`));
      },
    );
  };
  const { tls } = options;
  const server: Server =
    tls === undefined
      ? createServer(listener)
      : createTlsServer(
          {
            cert: tls.cert,
            key: tls.key,
            minVersion: "TLSv1.2",
            ...(tls.clientCa === null ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: false }),
          },
          listener,
        );
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      reject(
        cause.code === "EADDRINUSE"
          ? new BallastError("PORT_TAKEN", `${options.host}:${options.port} is in use`, {
              cause,
              hint: "Stop what listens there, or change server.api in ballast.yaml.",
            })
          : cause,
      );
    });
    server.listen(options.port, options.host, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("an HTTP server without a port");
  return {
    port: address.port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

type Settings = ApiServerOptions & { doorkeeper: Doorkeeper; maxBodyBytes: number };

async function answer(request: IncomingMessage, settings: Settings): Promise<ApiAnswer> {
  if (request.headers.origin !== undefined)
    throw new BallastError("API_FORBIDDEN", "requests from web pages are refused");
  const url = new URL(request.url ?? "/", "http://ballast");
  const method = request.method === "HEAD" ? "GET" : request.method;
  const found = findRoute(settings.routes(), method ?? "", url.pathname);
  if (found === null)
    throw settings.notServed?.() ?? new BallastError("API_NOT_FOUND", `there is no ${request.method} ${url.pathname}`);
  const { route, params } = found;
  const caller: Caller = route.role === null ? { name: null, roles: new Set() } : settings.doorkeeper.identify(request);
  if (route.role !== null) requireRole(caller, route.role);
  const body = route.body === null ? undefined : parse(route.body, await readJson(request, settings.maxBodyBytes));
  const reply = await route.handle({
    body: body as never,
    params,
    query: url.searchParams,
    caller,
    actor: (given) => actorOf(caller, given),
  });
  const ready =
    reply instanceof ApiAnswer ? reply : new ApiAnswer(200, "application/json", `${JSON.stringify(reply)}\n`);
  if (settings.checkAnswers === true && route.answer !== null) {
    const checked = route.answer.safeParse(JSON.parse(ready.text));
    if (!checked.success) {
      throw new Error(`${route.method} ${route.path} answers other than documented: ${checked.error.message}`);
    }
  }
  return ready;
}

export function findRoute(
  routes: readonly ApiRoute[],
  method: string,
  path: string,
): { route: ApiRoute; params: Record<string, string> } | null {
  const segments = path.split("/");
  for (const route of routes) {
    if (route.method !== method) continue;
    const wanted = route.path.split("/");
    if (wanted.length !== segments.length) continue;
    const params: Record<string, string> = Object.create(null);
    const fits = wanted.every((part, i) => {
      const name = /^\{(\w+)\}$/.exec(part)?.[1];
      if (name === undefined) return part === segments[i];
      params[name] = decode(segments[i]!);
      return params[name] !== "";
    });
    if (fits) return { route, params };
  }
  return null;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return "";
  }
}

function parse(schema: z.ZodType, body: unknown): unknown {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issues = result.error.issues.slice(0, 10);
  throw new BallastError(
    "API_BAD_REQUEST",
    issues.map((issue) => `${issue.path.join(".") || "body"}: ${issue.message}`).join("; "),
  );
}

async function readJson(request: IncomingMessage, maxBodyBytes: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes)
      throw new BallastError("API_BAD_REQUEST", `the body is larger than ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  if (bytes === 0) return {};
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (cause) {
    throw new BallastError("API_BAD_REQUEST", "the body is not JSON", { cause });
  }
}

function statusOf(error: BallastError): number {
  const entry: { exit: number; hint: string; http?: number } = ERROR_CODES[error.code];
  return entry.http ?? (error.code === "INTERNAL" ? 500 : 409);
}

function send(response: ServerResponse, { status, contentType, text }: ApiAnswer): void {
  response.writeHead(status, {
    "content-type": contentType,
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(response.req.method === "HEAD" ? undefined : text);
}
