import { headers, nuid } from "@nats-io/transport-node";
import { isConflict, isTransient, JS_ERROR, jsErrorCode } from "./nats-errors.ts";
import type { NatsSession } from "./nats-session.ts";
import { parseAck } from "./publish-ack.ts";

export interface BatchMessage {
  subject: string;
  payload: Uint8Array | string;
  headers?: Readonly<Record<string, string>>;
}

/**
 * - stored: all messages.  - conflict: another write came first, nothing was stored.
 * - refused: the server will not have it, for example because the stream is full.
 * - unknown: no answer, or one that does not say; it may be stored yet.
 */
export type BatchOutcome =
  | { kind: "stored" }
  | { kind: "conflict" }
  | { kind: "refused"; cause: Error }
  | { kind: "unknown"; cause: unknown };

/** The server's own limit is 1,000 (`jetstream.limits.batch.max_msgs`). */
const MAX_BATCH_MESSAGES = 1_000;

/**
 * Publishes messages that are stored all or not at all, and only while the newest message on the subject of the last one has
 * the stream sequence `expected` (0: there is none). https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md
 *
 * Not the client's `startBatch`: that waits for the first message's acknowledgement, a second round trip for each write, and
 * cannot put an expectation on the last.
 */
export async function publishBatch(
  session: NatsSession,
  messages: readonly BatchMessage[],
  expected: number,
  timeoutMs: number,
): Promise<BatchOutcome> {
  const last = messages.at(-1);
  if (last === undefined || messages.length > MAX_BATCH_MESSAGES)
    throw new Error(`a batch of ${messages.length} messages`);
  const id = nuid.next();
  const headersOf = (message: BatchMessage, sequence: number) => {
    const all = headers();
    for (const [name, value] of Object.entries(message.headers ?? {})) all.set(name, value);
    all.set("Nats-Batch-Id", id);
    all.set("Nats-Batch-Sequence", `${sequence}`);
    return all;
  };
  try {
    for (const [i, message] of messages.slice(0, -1).entries()) {
      session.nc.publish(message.subject, message.payload, { headers: headersOf(message, i + 1) });
    }
    const final = headersOf(last, messages.length);
    final.set("Nats-Batch-Commit", "1");
    final.set("Nats-Expected-Last-Subject-Sequence", `${expected}`);
    parseAck(await session.nc.request(last.subject, last.payload, { headers: final, timeout: timeoutMs }));
    return { kind: "stored" };
  } catch (error) {
    const code = jsErrorCode(error);
    if (isConflict(code)) return { kind: "conflict" };
    if (isTransient(error) || code === JS_ERROR.batchIncomplete || code === JS_ERROR.tooManyBatches) {
      return { kind: "unknown", cause: error };
    }
    if (code !== null) return { kind: "refused", cause: error as Error };
    throw error;
  }
}
