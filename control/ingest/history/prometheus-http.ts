import { BallastError } from "../../../common/errors.ts";
import { tooLarge } from "./imported-history.ts";

export interface PrometheusServer {
  /** Address with the path before `/api/v1`, for example `http://127.0.0.1:9090`. */
  url: string;
  /** Value of the Authorization header, for example `Bearer …`; kept out of all messages. */
  authorization?: string;
  /** Per query, the answer's last byte included. Default 60,000. */
  timeoutMs?: number;
  /** Tries of one query while the server is unreachable or overloaded. Default 3. */
  tries?: number;
  /** Pause before the second try, doubled before each further one. Default 500. */
  retryMs?: number;
  /** Default 128 MiB. */
  maxResponseBytes?: number;
}

/** One series of a matrix: its labels, and [seconds, value] pairs. */
export interface MatrixSeries {
  metric: Record<string, string>;
  values: [number, string][];
}

const MAX_WORDS = 300;

/**
 * One range query of Prometheus' HTTP API (POST /api/v1/query_range, so that a long query fits). Redirects are refused: they would carry
 * the credential elsewhere.
 */
export async function postRange(
  server: PrometheusServer,
  form: Record<"query" | "start" | "end" | "step", string>,
): Promise<{ series: MatrixSeries[]; warnings: string[] }> {
  const { tries = 3, retryMs = 500 } = server;
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(server, form);
    } catch (error) {
      const again = error instanceof BallastError && error.code === "HISTORY_SOURCE_UNREACHABLE";
      if (!again || attempt >= tries) throw error;
      await new Promise((resolve) => setTimeout(resolve, retryMs * 2 ** (attempt - 1)));
    }
  }
}

async function once(
  server: PrometheusServer,
  form: Record<string, string>,
): Promise<{ series: MatrixSeries[]; warnings: string[] }> {
  const { authorization, timeoutMs = 60_000, maxResponseBytes = 128 * 2 ** 20 } = server;
  const address = new URL(server.url);
  if (!["http:", "https:"].includes(address.protocol) || address.username !== "" || address.password !== "")
    throw new BallastError("USAGE", "the address of Prometheus must be http or https, without a user or password");
  const url = `${address.origin}${address.pathname.replace(/\/+$/, "")}/api/v1/query_range`;
  let status: number;
  let text: string;
  try {
    const response = await fetch(url, {
      method: "POST",
      body: new URLSearchParams(form),
      headers: authorization === undefined ? {} : { authorization },
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    });
    status = response.status;
    text = await boundedText(response, maxResponseBytes, url);
  } catch (error) {
    if (error instanceof BallastError) throw error;
    const { name, message, cause } = error as Error & { cause?: Error };
    const why = name === "TimeoutError" ? `no answer within ${timeoutMs} ms` : (cause?.message ?? message);
    throw new BallastError("HISTORY_SOURCE_UNREACHABLE", why, { position: { file: url }, cause: error });
  }
  return readAnswer(url, status, text);
}

async function boundedText(response: Response, maxBytes: number, url: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > maxBytes)
      throw tooLarge({ file: url }, `an answer of more than ${maxBytes} bytes; ask for fewer points at once`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Prometheus says {"status":"error","errorType","error"} with 400, 422 or 503; whatever stands before it says what it likes. */
export function readAnswer(url: string, status: number, text: string): { series: MatrixSeries[]; warnings: string[] } {
  let body: {
    status?: unknown;
    error?: unknown;
    data?: { resultType?: unknown; result?: unknown };
    warnings?: unknown;
    infos?: unknown;
  };
  try {
    body = JSON.parse(text) as typeof body;
    if (typeof body !== "object" || body === null) body = {};
  } catch {
    body = {};
  }
  const position = { file: url };
  const words = typeof body.error === "string" ? `: ${body.error.slice(0, MAX_WORDS)}` : "";
  if (status === 429 || status >= 500)
    throw new BallastError("HISTORY_SOURCE_UNREACHABLE", `status ${status}${words}`, { position });
  if (status !== 200 || body.status !== "success")
    throw new BallastError("HISTORY_SOURCE_REFUSED", `status ${status}${words}`, { position });
  if (body.data?.resultType !== "matrix" || !Array.isArray(body.data.result) || !body.data.result.every(isSeries))
    throw new BallastError("HISTORY_SOURCE_REFUSED", "the answer is not a matrix of samples", { position });
  const list = (value: unknown): string[] =>
    Array.isArray(value) ? value.map((one) => String(one).slice(0, MAX_WORDS)) : [];
  return { series: body.data.result, warnings: [...list(body.warnings), ...list(body.infos)] };
}

/** Native histograms come as `histograms` instead of `values`; they are no rates. */
function isSeries(value: unknown): value is MatrixSeries {
  const { metric, values } = (value ?? {}) as Partial<MatrixSeries>;
  return (
    typeof metric === "object" &&
    metric !== null &&
    Array.isArray(values) &&
    values.every((pair) => Array.isArray(pair) && typeof pair[0] === "number" && typeof pair[1] === "string")
  );
}
