// What the filter sends: state-of-the-world xDS requests of three types on one aggregated stream.
// https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol

import { isEqual, putBytes, putDecimal, putHex } from "./bytes";
import { config } from "./config";
import { grpcSend } from "./host";
import { requestBuffer } from "./memory";
import {
  bytes,
  bytesLength,
  bytesOf,
  field,
  lengthOf,
  messageLength,
  openField,
  putBytesField,
  putNumberField,
  readField,
  readMessage,
  startMessage,
} from "./proto";
import { putReason, Reason } from "./reason";
import { SetId } from "./sync-header";
import { ascii, indexOfWord, putText, putWord } from "./words";

/** "<module version>/<layout of shared data>/", to which the instance id comes. */
const VERSION: usize = ascii("0.1.0/1/");
const AGENT: usize = ascii("ballast-filter");
const AGENT_LENGTH: usize = 14;

export namespace Type {
  export const Stage: u32 = 0;
  export const Table: u32 = 1;
  export const Activation: u32 = 2;
  export const Unknown: u32 = 3;
}
const TYPE_PREFIX: usize = ascii("type.googleapis.com/ballast.v1.");
const TYPE_PREFIX_LENGTH: usize = 31;

const TYPES: usize = ascii("Stage|WeightTable|Activation");

/** Which of the three types a type URL names. */
function typeOf(url: usize, length: usize): u32 {
  const prefix = TYPE_PREFIX_LENGTH;
  if (length <= prefix || !isEqual(url, prefix, TYPE_PREFIX, prefix)) return Type.Unknown;
  const type = indexOfWord(url + prefix, length - prefix, TYPES);
  return type < 0 ? Type.Unknown : type;
}

/** Longest nonce or version that is echoed; a response with a longer one is malformed. */
const ECHO_BYTES: usize = 128;

/** Per type: what the server said last and what we hold. */
@unmanaged
class Subscription {
  nonceLength: usize;
  versionLength: usize;
  /** Version of the answer being made, adopted as `version` by an ACK. */
  offeredLength: usize;
}
const SUBSCRIPTION_BYTES: usize = 16 + 3 * 128;
const SUBSCRIPTIONS = memory.data(3 * (16 + 3 * 128), 8);

function subscription(type: u32): Subscription {
  return changetype<Subscription>(SUBSCRIPTIONS + <usize>type * SUBSCRIPTION_BYTES);
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

/** Another leader may have spoken since: what this VM said that it holds is not known to be so. */
export function forgetVersions(): void {
  memory.fill(SUBSCRIPTIONS, 0, 3 * SUBSCRIPTION_BYTES);
}
/** Nonces do not survive streams. */
export function forgetNonces(): void {
  for (let type: u32 = 0; type < 3; type++) subscription(type).nonceLength = 0;
}

/** What is held, as told to the server: "<epoch>-<set digest>". */
export function setVersion(type: u32, id: SetId): void {
  const s = subscription(type);
  s.versionLength = putId(versionOf(s), id) - versionOf(s);
}

/** An accepted table response: its own version is what we hold. */
export function adoptVersion(type: u32): void {
  const s = subscription(type);
  s.versionLength = putBytes(versionOf(s), offeredOf(s), s.offeredLength) - versionOf(s);
}

function putId(to: usize, id: SetId): usize {
  const end = putDecimal(to, id.epoch);
  store<u8>(end, 45);
  return putHex(end + 1, id.digest);
}

const NODE = memory.data(768, 8);
let nodeLength: usize = 0;

/** Node{id, cluster, user_agent_name, user_agent_version}; `instance` is random per Envoy process. */
export function describeNode(instance: u64): void {
  const end = putHex(putText(TEXT, VERSION), instance);
  startMessage();
  putBytesField(1, config.node, config.nodeLength);
  putBytesField(2, config.fleet, config.fleetLength);
  putBytesField(6, AGENT, AGENT_LENGTH);
  putBytesField(7, TEXT, end - TEXT);
  nodeLength = messageLength();
  memory.copy(NODE, requestBuffer(), nodeLength);
}

const TEXT = memory.data(128, 8);

/** Begins a request of this type; names follow, then `finishRequest`. `withNode` for the first of a type on a stream. */
export function startRequest(type: u32, withNode: bool): void {
  const s = subscription(type);
  startMessage();
  putBytesField(1, versionOf(s), s.versionLength);
  if (withNode) putBytesField(2, NODE, nodeLength);
  if (type != Type.Table) putBytesField(3, config.fleet, config.fleetLength);
}

export function putDigestName(digest: u64): void {
  putHex(TEXT, digest);
  putBytesField(3, TEXT, 16);
}

const COLON: usize = ascii(": ");

/** Ends and sends a request: ACK for Reason.None, else NACK "REASON: epoch-digest", or "REASON: digest" of a table. */
export function finishRequest(token: u32, type: u32, reason: u32, about: SetId): bool {
  const s = subscription(type);
  let end = putWord(putText(TEXT, TYPE_PREFIX), TYPES, type);
  putBytesField(4, TEXT, end - TEXT);
  putBytesField(5, nonceOf(s), s.nonceLength);
  if (reason != Reason.None) {
    end = putText(putReason(TEXT, reason), COLON);
    end = type == Type.Table ? putHex(end, about.digest) : putId(end, about);
    // google.rpc.Status{code: INVALID_ARGUMENT, message}: 2 bytes, and 2 before a message shorter than 128.
    openField(6, end - TEXT + 4);
    putNumberField(1, 3);
    putBytesField(2, TEXT, end - TEXT);
  }
  return grpcSend(token, requestBuffer(), messageLength());
}

/** GrpcService{envoy_grpc{cluster_name}}, in the request buffer; returns its length. */
export function describeService(): usize {
  startMessage();
  openField(1, config.clusterLength + (config.clusterLength < 128 ? 2 : 3));
  putBytesField(1, config.cluster, config.clusterLength);
  return messageLength();
}

/** Type of the response that was read. */
export let responseType: u32 = 0;

/** Reads the envelope and notes version and nonce; false when it is no DiscoveryResponse of ours or cannot be echoed. */
export function readResponse(from: usize, length: usize): bool {
  responseType = Type.Unknown;
  if (!readMessage(from, length)) return false;
  responseType = typeOf(bytesOf(4), lengthOf(4));
  if ((responseType == Type.Unknown) | (lengthOf(5) > ECHO_BYTES) | (lengthOf(1) > ECHO_BYTES)) return false;
  const s = subscription(responseType);
  s.nonceLength = putBytes(nonceOf(s), bytesOf(5), lengthOf(5)) - nonceOf(s);
  s.offeredLength = putBytes(offeredOf(s), bytesOf(1), lengthOf(1)) - offeredOf(s);
  resourceAt = from;
  resourceEnd = from + length;
  return true;
}

// What is left of the response, and the resource found last.
let resourceAt: usize = 0;
let resourceEnd: usize = 0;
export let resource: usize = 0;
export let resourceLength: usize = 0;
/** False when the resource found is malformed or of another type. */
export let resourceOk: bool = false;

/** Finds the next resource of the response; false behind the last one. */
export function nextResource(): bool {
  while (resourceAt < resourceEnd) {
    resourceAt = readField(resourceAt, resourceEnd);
    if (field != 2) continue;
    resourceOk = readMessage(bytes, bytesLength) && typeOf(bytesOf(1), lengthOf(1)) == responseType;
    resource = bytesOf(2);
    resourceLength = lengthOf(2);
    return true;
  }
  return false;
}
