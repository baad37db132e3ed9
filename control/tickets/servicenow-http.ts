import { setTimeout as sleep } from "node:timers/promises";
import { BallastError } from "../../common/errors.ts";
import { RateLimited } from "./rate-limited.ts";
import type { Credentials } from "./servicenow-auth.ts";

export interface HttpOptions {
  /** Base URL of the instance, without a slash at the end. */
  url: string;
  credentials: Credentials;
  /** One attempt, its body included. Default 10 s. */
  timeoutMs?: number;
  /** Largest answer that is read. Default 4 MiB; a change request has about 10 KiB. */
  maxBytes?: number;
  /** Attempts of a call that may be repeated, 1 … 10. Default 3. */
  maxAttempts?: number;
  /** Before the second attempt a random time up to this is waited, then up to twice it, and so on. Default 500 ms. */
  retryBaseMs?: number;
  /** A longer Retry-After is not waited for within a call. Default 10 s. */
  maxRetryAfterMs?: number;
  random?: () => number;
}

export interface HttpCall {
  method: "GET" | "POST" | "PATCH";
  /** From the instance's root. */
  path: string;
  query?: Readonly<Record<string, string>>;
  body?: Readonly<Record<string, unknown>>;
  /** May be made twice with the effect of once. GET always may. */
  repeatable?: boolean;
  signal?: AbortSignal | undefined;
}

const MAX_REASON = 500;
/** When a refusal for its rate says nothing of when. */
const UNKNOWN_RETRY_AFTER_MS = 60_000;

/**
 * One instance over HTTP: authorised, bounded in time and size, and repeated only where that is safe. A refusal for its rate
 * (429) or its token (401) was not carried out, so any call may be made again after it; a lost answer or a failure (5xx) may
 * come after the deed, so only repeatable calls are.
 */
export class ServiceNowHttp {
  readonly #options: Required<HttpOptions>;

  constructor(options: HttpOptions) {
    this.#options = {
      timeoutMs: 10_000,
      maxBytes: 4 << 20,
      maxAttempts: 3,
      retryBaseMs: 500,
      maxRetryAfterMs: 10_000,
      random: Math.random,
      ...options,
    };
  }

  get url(): string {
    return this.#options.url;
  }

  /** The `result` of the answer. Rejects with a TICKET_ code, or with the signal's reason. */
  async call(call: HttpCall): Promise<unknown> {
    const { maxAttempts, retryBaseMs, maxRetryAfterMs, random, credentials } = this.#options;
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(call);
      } catch (thrown) {
        call.signal?.throwIfAborted();
        if (!(thrown instanceof BallastError)) throw thrown;
        if (thrown.code === "TICKET_AUTH" && !renewed && credentials.renew()) {
          renewed = true;
          continue;
        }
        if (attempt >= maxAttempts) throw thrown;
        let waitMs = random() * retryBaseMs * 2 ** (attempt - 1);
        if (thrown instanceof RateLimited) {
          if (thrown.retryAfterMs > maxRetryAfterMs) throw thrown;
          waitMs += thrown.retryAfterMs;
        } else if (thrown.code !== "TICKET_SYSTEM_DOWN" || !(call.repeatable ?? call.method === "GET")) {
          throw thrown;
        }
        await pause(waitMs, call.signal);
      }
    }
  }

  async #once(call: HttpCall): Promise<unknown> {
    const { url, timeoutMs, credentials, maxBytes } = this.#options;
    const { method, path, query = {}, body } = call;
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = call.signal === undefined ? timeout : AbortSignal.any([call.signal, timeout]);
    const search = new URLSearchParams(query).toString();
    const what = `${method} ${path}`;
    const answer = await send(`${url}${path}${search === "" ? "" : `?${search}`}`, what, {
      method,
      headers: {
        accept: "application/json",
        authorization: await credentials.header(signal),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
      maxBytes,
    });
    if (answer.status >= 200 && answer.status < 300) {
      const parsed = parseJson(answer.text);
      if (typeof parsed !== "object" || parsed === null || !("result" in parsed)) {
        throw new BallastError("TICKET_ANSWER_INVALID", `${what}: status ${answer.status} and no JSON with a result`);
      }
      return parsed.result;
    }
    throw refusal(what, answer);
  }
}

export interface RawAnswer {
  status: number;
  text: string;
  header(name: string): string | null;
}

/** One exchange, with its failures typed. Redirects are not followed: they would carry the credentials elsewhere. */
export async function send(
  url: string,
  what: string,
  init: { method: string; headers: Record<string, string>; body?: string; signal: AbortSignal; maxBytes: number },
): Promise<RawAnswer> {
  const { maxBytes, ...rest } = init;
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, { ...rest, redirect: "manual" });
    text = await readBounded(response, what, maxBytes);
  } catch (cause) {
    if (cause instanceof BallastError) throw cause;
    throw new BallastError("TICKET_SYSTEM_DOWN", `${what}: ${reasonOf(cause)}`, { cause });
  }
  const { status, headers } = response;
  if (status >= 300 && status < 400) {
    throw new BallastError("TICKET_ANSWER_INVALID", `${what}: redirected with status ${status}`);
  }
  return { status, text, header: (name) => headers.get(name) };
}

async function readBounded(response: Response, what: string, maxBytes: number): Promise<string> {
  if (response.body === null) return "";
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw new BallastError("TICKET_ANSWER_INVALID", `${what}: more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

export function refusal(what: string, answer: RawAnswer): BallastError {
  const { status } = answer;
  const said = `${what}: status ${status}: ${errorText(answer.text)}`;
  if (status === 429) return new RateLimited(said, retryAfterMs(answer.header("retry-after")));
  if (status === 401) return new BallastError("TICKET_AUTH", said);
  if (status === 403) return new BallastError("TICKET_FORBIDDEN", said);
  if (status === 404) return new BallastError("TICKET_NOT_FOUND", said);
  return new BallastError(status >= 500 ? "TICKET_SYSTEM_DOWN" : "TICKET_REFUSED", said);
}

/** The API's `{"error": {"message", "detail"}}`, or that it said something else. Never the raw page: it may be anything. */
function errorText(text: string): string {
  const parsed = parseJson(text) as { error?: { message?: unknown; detail?: unknown } | string } | undefined;
  const { error } = parsed ?? {};
  if (typeof error === "string") return error.slice(0, MAX_REASON);
  const parts = [error?.message, error?.detail].filter((part) => typeof part === "string" && part !== "");
  return parts.length === 0 ? "no reason given" : parts.join(": ").replace(/\s+/g, " ").slice(0, MAX_REASON);
}

/** Seconds, or a date. */
function retryAfterMs(header: string | null): number {
  if (header === null) return UNKNOWN_RETRY_AFTER_MS;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : UNKNOWN_RETRY_AFTER_MS;
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === "TimeoutError") return "no answer in time";
  const inner = cause.cause instanceof Error ? cause.cause : cause;
  return "code" in inner ? `${inner.message || inner.name} (${String(inner.code)})` : inner.message;
}

/** Waits; a signal that aborts ends it with its reason. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal === undefined ? {} : { signal }).catch(() => signal?.throwIfAborted());
}
