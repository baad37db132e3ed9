import { readFile } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { ERROR_CODES, type ErrorCode } from "../../common/error-codes.ts";
import { BallastError } from "../../common/errors.ts";

/** Longest wait for an answer; a rollback waits for the fleet to stage and activate. */
const TIMEOUT_MS = 30_000;
const MAX_ANSWER_BYTES = 64 << 20;

/**
 * Calls the HTTP API of a running control server. A refusal is thrown as the server's own code, message and hint; as
 * SERVER_REFUSED when the server is newer and has a code that this command does not know.
 *
 * `address` is HOST:PORT, or https://HOST:PORT. The environment says who calls: BALLAST_TOKEN (a bearer token), BALLAST_CA (PEM
 * of the server's CA), BALLAST_CERT and BALLAST_KEY (PEM of a client certificate).
 */
export async function callApi(address: string, method: "GET" | "POST", path: string, body?: unknown): Promise<unknown> {
  const base = address.includes("://") ? address : `http://${address}`;
  if (!URL.canParse(base)) throw new BallastError("USAGE", `${address} is not HOST:PORT or https://HOST:PORT`);
  const { status, text } = await exchange(new URL(path, base), method, body);
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (cause) {
    throw new BallastError("SERVER_UNREACHABLE", `what answers at ${address} is no control server`, { cause });
  }
  if (status < 200 || status > 299) {
    throw refusalOf(answer, status);
  }
  return answer;
}

function refusalOf(answer: unknown, status: number): BallastError {
  const { code, message, hint } = (answer ?? {}) as { code?: unknown; message?: unknown; hint?: unknown };
  const text = typeof message === "string" ? message : `status ${status}`;
  const options = typeof hint === "string" ? { hint } : {};
  if (typeof code !== "string" || !Object.hasOwn(ERROR_CODES, code))
    return new BallastError("SERVER_REFUSED", text, options);
  const prefix = `${code}: `;
  return new BallastError(code as ErrorCode, text.startsWith(prefix) ? text.slice(prefix.length) : text, options);
}

async function exchange(url: URL, method: string, body: unknown): Promise<{ status: number; text: string }> {
  const token = process.env.BALLAST_TOKEN;
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const options = {
    method,
    headers: {
      ...(payload === undefined
        ? {}
        : { "content-type": "application/json", "content-length": Buffer.byteLength(payload) }),
      ...(token === undefined || token === "" ? {} : { authorization: `Bearer ${token}` }),
    },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(url.protocol === "https:" ? await tlsOptions() : {}),
  };
  try {
    return await new Promise((resolve, reject) => {
      const send = url.protocol === "https:" ? httpsRequest : httpRequest;
      const call = send(url, options, (response) => void read(response).then(resolve, reject));
      call.on("error", reject);
      call.end(payload);
    });
  } catch (cause) {
    if (cause instanceof BallastError) throw cause;
    const why = cause instanceof Error && cause.message !== "" ? `: ${cause.message}` : "";
    throw new BallastError("SERVER_UNREACHABLE", `no control server answers at ${url.host}${why}`, { cause });
  }
}

async function tlsOptions(): Promise<{ ca?: Buffer; cert?: Buffer; key?: Buffer }> {
  const options: { ca?: Buffer; cert?: Buffer; key?: Buffer } = {};
  for (const [name, field] of [
    ["BALLAST_CA", "ca"],
    ["BALLAST_CERT", "cert"],
    ["BALLAST_KEY", "key"],
  ] as const) {
    const file = process.env[name];
    if (file === undefined || file === "") continue;
    options[field] = await readFile(file).catch((cause: Error) => {
      throw new BallastError("USAGE", `${name}: ${cause.message}`, { cause });
    });
  }
  return options;
}

async function read(response: IncomingMessage): Promise<{ status: number; text: string }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`the answer is larger than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") };
}
