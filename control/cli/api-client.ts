import { BallastError } from "../../common/errors.ts";

/** Longest wait for an answer; a rollback waits for the fleet to stage and activate. */
const TIMEOUT_MS = 30_000;

/** Calls the HTTP API of a running control server. A refusal arrives as the server's own code, message and hint. */
export async function callApi(address: string, method: "GET" | "POST", path: string, body?: unknown): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(`http://${address}${path}`, {
      method,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
  } catch (cause) {
    throw new BallastError("SERVER_UNREACHABLE", `no control server answers at ${address}`, { cause });
  }
  const answer: unknown = await response.json();
  if (!response.ok) {
    const refusal = answer as { message?: string; hint?: string };
    throw new BallastError(
      "SERVER_REFUSED",
      refusal.message ?? `status ${response.status}`,
      refusal.hint === undefined ? {} : { hint: refusal.hint },
    );
  }
  return answer;
}
