// What the filter sends: state-of-the-world xDS requests of three types on one aggregated stream.
// https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol

import { isText, putBytes, putDecimal, putHex, putText } from "./bytes";
import { config } from "./config";
import { grpcSend } from "./host";
import {
  bytesSize,
  message,
  messageLength,
  openField,
  putBytesField,
  putNumberField,
  Reader,
  startMessage,
} from "./proto";
import { Reason, putReason } from "./reason";
import { LAYOUT_TEXT } from "./sync-keys";
import { indexOfWord, putWord } from "./words";

export const MODULE_VERSION: string = "0.1.0";

export namespace Type {
  export const Stage: u32 = 0;
  export const Table: u32 = 1;
  export const Activation: u32 = 2;
  export const Unknown: u32 = 3;
}
const TYPE_PREFIX: string = "type.googleapis.com/ballast.v1.";

const TYPES: string = "Stage|WeightTable|Activation";

/** Which of the three types a type URL names. */
export function typeOf(url: usize, length: usize): u32 {
  const prefix = <usize>TYPE_PREFIX.length;
  if (length <= prefix || !isText(url, prefix, TYPE_PREFIX))
    return Type.Unknown;
  const type = indexOfWord(url + prefix, length - prefix, TYPES, 3);
  return type < 0 ? Type.Unknown : type;
}

/** Longest nonce or version that is echoed; a response with a longer one is malformed. */
const ECHO_BYTES: usize = 128;

/** Per type: what the server said last and what we hold. */
@unmanaged
export class Subscription {
  nonceLength: usize;
  versionLength: usize;
  /** Version of the answer being made, adopted as `version` by an ACK. */
  offeredLength: usize;
}
const SUBSCRIPTION_BYTES: usize = 16 + 3 * 128;
const SUBSCRIPTIONS = memory.data(3 * (16 + 3 * 128), 8);

export function subscription(type: u32): Subscription {
  return changetype<Subscription>(
    SUBSCRIPTIONS + <usize>type * SUBSCRIPTION_BYTES,
  );
}
function nonceOf(s: Subscription): usize {
  return changetype<usize>(s) + 16;
}
function versionOf(s: Subscription): usize {
  return changetype<usize>(s) + 16 + ECHO_BYTES;
}
function offeredOf(s: Subscription): usize {
  return changetype<usize>(s) + 16 + 2 * ECHO_BYTES;
}

export function forgetSubscriptions(): void {
  memory.fill(SUBSCRIPTIONS, 0, 3 * SUBSCRIPTION_BYTES);
}

/** Notes nonce and version of a response. False when one is too long to echo. */
export function noteResponse(
  type: u32,
  nonce: usize,
  nonceLength: usize,
  version: usize,
  versionLength: usize,
): bool {
  if (nonceLength > ECHO_BYTES || versionLength > ECHO_BYTES) return false;
  const s = subscription(type);
  s.nonceLength = putBytes(nonceOf(s), nonce, nonceLength) - nonceOf(s);
  s.offeredLength =
    putBytes(offeredOf(s), version, versionLength) - offeredOf(s);
  return true;
}

/** What is held, as told to the server: "<epoch>-<set digest>", or nothing for epoch 0. */
export function setVersion(type: u32, epoch: u64, digest: u64): void {
  const s = subscription(type);
  s.versionLength =
    epoch == 0 ? 0 : putEpoch(versionOf(s), epoch, digest) - versionOf(s);
}

/** An accepted table response: its own version is what we hold. */
export function adoptVersion(type: u32): void {
  const s = subscription(type);
  s.versionLength =
    putBytes(versionOf(s), offeredOf(s), s.offeredLength) - versionOf(s);
}

function putEpoch(to: usize, epoch: u64, digest: u64): usize {
  const end = putDecimal(to, epoch);
  store<u8>(end, 45);
  return putHex(end + 1, digest);
}

const NODE = memory.data(768, 8);
let nodeLength: usize = 0;

/** Node{id, cluster, user_agent_name, user_agent_version}; `instance` is random per Envoy process. */
export function describeNode(instance: u64): void {
  const agent = putText(TEXT, "ballast-filter") - TEXT;
  const version = TEXT + 32;
  let end = putText(version, MODULE_VERSION);
  store<u8>(end++, 47);
  end = putText(end, LAYOUT_TEXT);
  store<u8>(end++, 47);
  end = putHex(end, instance);
  startMessage();
  putBytesField(1, config.node, config.nodeLength, false);
  putBytesField(2, config.fleet, config.fleetLength, false);
  putBytesField(6, TEXT, agent, false);
  putBytesField(7, version, end - version, false);
  nodeLength = messageLength();
  memory.copy(NODE, message(), nodeLength);
}

const TEXT = memory.data(128, 8);
const DETAIL = memory.data(256, 8);
const URL = memory.data(64, 8);

/** Begins a request of this type; names follow, then `finishRequest`. `withNode` for the first of a type on a stream. */
export function startRequest(type: u32, withNode: bool): void {
  const s = subscription(type);
  startMessage();
  putBytesField(1, versionOf(s), s.versionLength, false);
  if (withNode) putBytesField(2, NODE, nodeLength, true);
  if (type != Type.Table)
    putBytesField(3, config.fleet, config.fleetLength, true);
}

export function putDigestName(digest: u64): void {
  putHex(TEXT, digest);
  putBytesField(3, TEXT, 16, true);
}

/** Ends and sends a request: ACK for Reason.None, else NACK "REASON: epoch-digest" about the set or table named. */
export function finishRequest(
  token: u32,
  type: u32,
  reason: u32,
  epoch: u64,
  digest: u64,
): bool {
  const s = subscription(type);
  let end = putText(URL, TYPE_PREFIX);
  end = putWord(end, TYPES, type);
  putBytesField(4, URL, end - URL, true);
  putBytesField(5, nonceOf(s), s.nonceLength, false);
  if (reason != Reason.None) {
    end = putText(putReason(DETAIL, reason), ": ");
    end =
      type == Type.Table ? putHex(end, digest) : putEpoch(end, epoch, digest);
    // google.rpc.Status{code: INVALID_ARGUMENT, message}
    if (openField(6, 2 + bytesSize(end - DETAIL))) {
      putNumberField(1, 3);
      putBytesField(2, DETAIL, end - DETAIL, true);
    }
  }
  return grpcSend(token, message(), messageLength());
}

/** GrpcService{envoy_grpc{cluster_name}}, in the message buffer. */
export function describeService(): usize {
  startMessage();
  openField(1, bytesSize(config.clusterLength));
  putBytesField(1, config.cluster, config.clusterLength, true);
  return messageLength();
}

/** DiscoveryResponse, the parts that are used. */
@unmanaged
export class Response {
  type: u32;
  version: usize;
  versionLength: usize;
  nonce: usize;
  nonceLength: usize;
}
export const response: Response = changetype<Response>(memory.data(32, 8));
const READER = memory.data(48, 8);
const ANY = memory.data(48, 8);
const reader: Reader = changetype<Reader>(READER);
const any: Reader = changetype<Reader>(ANY);

/** Reads the envelope; false when it is not a DiscoveryResponse of one of our types. */
export function readResponse(from: usize, length: usize): bool {
  memory.fill(changetype<usize>(response), 0, offsetof<Response>());
  response.type = Type.Unknown;
  reader.open(from, length);
  while (reader.next()) {
    if (reader.is(1, 2)) {
      response.version = reader.bytes;
      response.versionLength = reader.length;
    } else if (reader.is(4, 2))
      response.type = typeOf(reader.bytes, reader.length);
    else if (reader.is(5, 2)) {
      response.nonce = reader.bytes;
      response.nonceLength = reader.length;
    }
  }
  return reader.ok && response.type != Type.Unknown;
}

/** Second pass: begins going through the resources. */
export function openResources(from: usize, length: usize): void {
  reader.open(from, length);
}

/** Length of the next resource's message, which is at `resource()`; -1 at the end, -2 when it is malformed or of another type. */
export function nextResource(): i32 {
  while (reader.next()) {
    if (!reader.is(2, 2)) continue;
    let type = Type.Unknown;
    resourceAt = 0;
    resourceLength = 0;
    any.open(reader.bytes, reader.length);
    while (any.next()) {
      if (any.is(1, 2)) type = typeOf(any.bytes, any.length);
      else if (any.is(2, 2)) {
        resourceAt = any.bytes;
        resourceLength = any.length;
      }
    }
    return any.ok && type == response.type ? <i32>resourceLength : -2;
  }
  return -1;
}
export function resource(): usize {
  return resourceAt;
}
let resourceAt: usize = 0;
let resourceLength: usize = 0;
