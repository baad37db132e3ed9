// The one xDS stream of this Envoy, held by the leader. It belongs to the root that opened it: when an update makes a new
// root, calls from the new one cannot reach it, and it dies with the old root without any callback.

import { canSubscribe } from "./config";
import { grpcCancel, grpcClose, grpcStream } from "./host";
import { requestBuffer } from "./memory";
import { count, Counter } from "./metrics";
import { randomU32 } from "./random";
import { describeService } from "./sync-wire";
import { ascii } from "./words";

const LEAST_BACKOFF_MS: u32 = 200;
const MOST_BACKOFF_MS: u32 = 5_000;
/** A stream whose root has not ticked for so many ticks of the driving root is void. */
export const VOID_AFTER_TICKS: u32 = 10;

const NAME: usize = ascii("envoy.service.discovery.v3.AggregatedDiscoveryService");
const NAME_LENGTH: usize = 53;
const METHOD: usize = ascii("StreamAggregatedResources");
const METHOD_LENGTH: usize = 25;

let token: u32 = 0;
let root: u32 = 0;
let silentTicks: u32 = 0;
let backoff: u32 = 200; // LEAST_BACKOFF_MS
let failedAt: u32 = 0;
let wait: u32 = 0;

export function isOpen(): bool {
  return token != 0;
}
export function isStream(candidate: u32): bool {
  return candidate == token;
}
/** The stream's token when the root being called may use it, else 0. */
export function tokenFor(caller: u32): u32 {
  return caller == root ? token : 0;
}

/** Tries to open. True when a new stream is there and the first requests are due. */
export function openStream(now: u32, caller: u32): bool {
  if ((token != 0) | (now - failedAt < wait) | !canSubscribe()) return false;
  const length = describeService();
  // Set before the call: a close for a stream that never came to be is delivered inside it, under a token we never had.
  token = grpcStream(requestBuffer(), length, NAME, NAME_LENGTH, METHOD, METHOD_LENGTH);
  root = caller;
  silentTicks = 0;
  if (token == 0) retryLater(now);
  return token != 0;
}

/** Doubles up to 5 s, each time with up to half of it on top, so that a fleet does not come back in step. */
function retryLater(now: u32): void {
  count(Counter.Reconnects);
  failedAt = now;
  wait = backoff + (randomU32() % (backoff >> 1));
  backoff = min(backoff * 2, MOST_BACKOFF_MS);
}

/** The server answered: the next failure begins with a short wait again. */
export function streamWorks(): void {
  backoff = LEAST_BACKOFF_MS;
}

/** The peer closed: the host still holds its side. */
export function streamClosed(now: u32): void {
  grpcClose(token);
  token = 0;
  retryLater(now);
}

/** Gives the stream up: malformed answers, a lost lease, a send that failed. Reachable only from its own root. */
export function resetStream(now: u32, caller: u32): void {
  if (token != 0 && caller == root) grpcCancel(token);
  token = 0;
  retryLater(now);
}

/** A tick of a root that does not drive any more: it takes its stream along at once. True when it had one. */
export function tickOldRoot(caller: u32): bool {
  if ((token == 0) | (caller != root)) return false;
  grpcCancel(token);
  token = 0;
  return true;
}

/** A tick of the driving root: notices that the stream died with another root. True when it did. */
export function tickStream(caller: u32): bool {
  if (token == 0 || caller == root || ++silentTicks < VOID_AFTER_TICKS) return false;
  token = 0;
  return true;
}
