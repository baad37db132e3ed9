import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { ERROR_CODES } from "../../common/error-codes.ts";
import { BallastError } from "../../common/errors.ts";

/** One operation of the HTTP API: takes the parsed JSON body (or undefined) and returns what is sent as JSON. */
export type ApiHandler = (body: unknown) => unknown | Promise<unknown>;

export interface ApiServerOptions {
  host: string;
  port: number;
  /** Keyed by `"METHOD /path"`. */
  routes: Record<string, ApiHandler>;
  /** Larger bodies are refused before they are buffered. Default 64 KiB. */
  maxBodyBytes?: number;
}

export interface ApiServer {
  port: number;
  stop(): Promise<void>;
}

/**
 * The HTTP API on loopback. Errors are `{code, message, hint}` with the codes of docs/reference/errors.md.
 * Requests from a browser page of another site are refused by their Origin, so that a visited page cannot steer.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const maxBodyBytes = options.maxBodyBytes ?? 65_536;
  const server = createServer((request, response) => {
    answer(request, options.routes, maxBodyBytes).then(
      (body) => send(response, 200, body),
      (thrown) => {
        const error = BallastError.from(thrown, "INTERNAL");
        send(response, statusOf(error), { code: error.code, message: error.message, hint: error.hint });
      },
    );
  });
  server.requestTimeout = 10_000;
  server.maxConnections = 64;
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

async function answer(
  request: IncomingMessage,
  routes: Record<string, ApiHandler>,
  maxBodyBytes: number,
): Promise<unknown> {
  if (request.headers.origin !== undefined)
    throw new BallastError("API_FORBIDDEN", "requests from web pages are refused");
  const path = new URL(request.url ?? "/", "http://ballast").pathname;
  const key = `${request.method} ${path}`;
  const handler = Object.hasOwn(routes, key) ? routes[key] : undefined;
  if (handler === undefined) throw new BallastError("API_NOT_FOUND", `there is no ${key}`);
  return handler(request.method === "POST" ? await readJson(request, maxBodyBytes) : undefined);
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

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(text);
}
