import { JetStreamApiError, JetStreamError } from "@nats-io/jetstream";
import { errors } from "@nats-io/transport-node";
import { BallastError } from "../../../common/errors.ts";

/** Numbers of JetStream's errors that the adapter tells apart. https://github.com/nats-io/nats-server/blob/main/server/errors.json */
export const JS_ERROR = {
  temporarilyUnavailable: 10008,
  noMessageFound: 10037,
  streamNameInUse: 10058,
  streamNotFound: 10059,
  wrongLastSequence: 10071,
  streamOffline: 10118,
  /** Another write to the same subject is in flight. */
  wrongLastSequenceInFlight: 10164,
  /** A message of the batch did not arrive, as when the leader changed in between. Nothing was stored. */
  batchIncomplete: 10176,
  tooManyBatches: 10210,
} as const;

export const NATS_HINT =
  "Look at the NATS servers that store.nats in ballast.yaml names: `nats server report jetstream`.";

export function jsErrorCode(error: unknown): number | null {
  return error instanceof JetStreamApiError ? error.code : null;
}

/** Somebody else wrote first. */
export function isConflict(code: number | null): boolean {
  return code === JS_ERROR.wrongLastSequence || code === JS_ERROR.wrongLastSequenceInFlight;
}

/** May be gone at the next try: no leader for the moment, a lost connection, an answer that did not come. */
export function isTransient(error: unknown): boolean {
  const code = jsErrorCode(error);
  if (code !== null) return code === JS_ERROR.temporarilyUnavailable || code === JS_ERROR.streamOffline;
  return (
    error instanceof errors.RequestError ||
    error instanceof errors.TimeoutError ||
    error instanceof errors.NoRespondersError ||
    error instanceof errors.ClosedConnectionError ||
    error instanceof errors.DrainingConnectionError ||
    error instanceof errors.ConnectionError ||
    // What the client makes of an API subject that nobody answers, as while the servers elect; the class is not exported.
    (error instanceof Error && error.name === "JetStreamNotEnabled")
  );
}

/** The client's errors as ours; what is ours already, and broken invariants, pass through. */
export function storeError(error: unknown, where: string): unknown {
  const known =
    isTransient(error) ||
    error instanceof JetStreamError ||
    error instanceof JetStreamApiError ||
    error instanceof errors.AuthorizationError ||
    error instanceof errors.UserAuthenticationExpiredError ||
    error instanceof errors.PermissionViolationError ||
    error instanceof errors.ProtocolError;
  if (!known) return error;
  const what = error instanceof Error ? error.message : String(error);
  return new BallastError("STORE_UNREADABLE", `NATS, ${where}: ${what}`, { cause: error, hint: NATS_HINT });
}
