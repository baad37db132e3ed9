import { type ApiError, JetStreamApiError } from "@nats-io/jetstream";
import type { Msg } from "@nats-io/transport-node";
import { BallastError } from "../../../common/errors.ts";

/** Reads a stream's answer to a publish. Throws the client's JetStreamApiError for a refusal. */
export function parseAck(message: Msg): void {
  const ack = message.json() as { seq?: unknown; error?: ApiError };
  if (ack.error !== undefined) throw new JetStreamApiError(ack.error);
  if (typeof ack.seq !== "number" || ack.seq < 1) {
    // Somebody who is not the stream listens on the subject and answers.
    throw new BallastError("STORE_UNREADABLE", `the answer to a write on ${message.subject} is not a stream's`);
  }
}
