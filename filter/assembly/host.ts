// One wrapper per host call. The host returns variable-sized values through `malloc`; here that is a fixed buffer,
// so a returned value is good until the next call that returns one. Whoever needs it longer copies it.

import * as abi from "./abi";
import { messageBuffer, OUT, scratch, SCRATCH_BYTES } from "./memory";
import { putReason } from "./reason";
import { ascii, putText } from "./words";

const OUT_POINTER: usize = OUT;
const OUT_LENGTH: usize = OUT + 4;
const OUT_WORD: usize = OUT + 8;
const OUT_U64: usize = OUT + 16;

/** Received messages have a buffer of their own, so that they stay while other calls use the scratch buffer. */
let receiving: bool = false;

/**
 * Called by the host, nested in the calls below. Restricted: it may not call the host back. Both buffers are of one size; for
 * a larger value it returns 0, which makes the host's call fail.
 */
export function malloc(size: usize): usize {
  return size > SCRATCH_BYTES ? 0 : receiving ? messageBuffer() : scratch();
}

/** The value that the last successful call returned. */
@inline
export function value(): usize {
  return load<u32>(OUT_POINTER);
}


@inline
export function valueLength(): usize {
  return load<u32>(OUT_LENGTH);
}

/** Makes a part of the last value the value. */
@inline
export function setValue(at: usize, length: usize): void {
  store<u32>(OUT_POINTER, at);
  store<u32>(OUT_LENGTH, length);
}

/** The cas of the last successful `getShared`. */
@inline
export function valueCas(): u32 {
  return load<u32>(OUT_WORD);
}

/** Wraps after 49 days: only differences mean anything, and those of shorter spans are right. */
export function monotonicMs(): u32 {
  abi.clock_time_get(abi.CLOCK_MONOTONIC, 1, OUT_U64);
  return <u32>(load<u64>(OUT_U64) / 1_000_000);
}

export function randomU64(): u64 {
  abi.random_get(OUT_U64, 8);
  return load<u64>(OUT_U64);
}

export function log(level: u32, from: usize, length: usize): void {
  abi.proxy_log(level, from, length);
}

/** "ballast: REASON" */
export function logReason(level: u32, reason: u32): void {
  const end = putReason(putText(LINE, LOG_PREFIX), reason);
  abi.proxy_log(level, LINE, end - LINE);
}
const LINE = memory.data(160, 8);
const LOG_PREFIX: usize = ascii("ballast: ");
const METRIC_PREFIX: usize = ascii("ballast.");
/** Where a metric's name is written, behind its prefix; room for "without_table." and a name. */
export const METRIC_NAME: usize = LINE + 8;

export function setTickPeriod(milliseconds: u32): void {
  abi.proxy_set_tick_period_milliseconds(milliseconds);
}

/** True when the property is there; an empty one counts. */
export function getProperty(path: usize, length: usize): bool {
  return abi.proxy_get_property(path, length, OUT_POINTER, OUT_LENGTH) == abi.Status.Ok;
}


@inline
export function getRequestHeader(key: usize, length: usize): bool {
  return abi.proxy_get_header_map_value(abi.HeaderMap.Request, key, length, OUT_POINTER, OUT_LENGTH) == abi.Status.Ok;
}

/**
 * All request headers as one value: u32 count, per header u32 length of its name and of its value, then the texts, each with
 * a NUL behind it.
 */
@inline
export function getRequestHeaders(): bool {
  return abi.proxy_get_header_map_pairs(abi.HeaderMap.Request, OUT_POINTER, OUT_LENGTH) == abi.Status.Ok;
}


@inline
export function replaceRequestHeader(key: usize, keyLength: usize, text: usize, length: usize): void {
  abi.proxy_replace_header_map_value(abi.HeaderMap.Request, key, keyLength, text, length);
}

export function getConfiguration(size: usize): bool {
  return (
    size != 0 &&
    abi.proxy_get_buffer_bytes(abi.Buffer.PluginConfiguration, 0, size, OUT_POINTER, OUT_LENGTH) == abi.Status.Ok
  );
}

/** Reads a received gRPC message into its own buffer; false when it is too large. */
export function getMessage(size: usize): bool {
  if (size == 0) return false;
  receiving = true;
  const status = abi.proxy_get_buffer_bytes(abi.Buffer.GrpcReceive, 0, size, OUT_POINTER, OUT_LENGTH);
  receiving = false;
  return status == abi.Status.Ok;
}

/** Ok, NotFound, or what the host says. */
export function getShared(key: usize, length: usize): u32 {
  return abi.proxy_get_shared_data(key, length, OUT_POINTER, OUT_LENGTH, OUT_WORD);
}

/** `cas` is never 0, which would overwrite whatever is there: either the one that was read, or CAS_CREATE. */
export function setShared(key: usize, length: usize, from: usize, size: usize, cas: u32): bool {
  return cas != 0 && abi.proxy_set_shared_data(key, length, from, size, cas) == abi.Status.Ok;
}

/** The queue's token, 0 when the host refuses. Wakes the last registrant of the name only. */
export function registerQueue(name: usize, length: usize): u32 {
  return abi.proxy_register_shared_queue(name, length, OUT_WORD) == abi.Status.Ok ? load<u32>(OUT_WORD) : 0;
}

/** Wakes the owner of a queue. Taking an entry out first keeps the host's unbounded queue at one entry. */
export function wake(queue: u32): void {
  if (queue == 0) return;
  drainQueue(queue);
  store<u8>(OUT_U64, 1);
  abi.proxy_enqueue_shared_queue(queue, OUT_U64, 1);
}

/** Takes one entry out of one's own queue. */
export function drainQueue(queue: u32): void {
  abi.proxy_dequeue_shared_queue(queue, OUT_POINTER, OUT_LENGTH);
}

/** `service` is a serialized GrpcService: a bare cluster name that happens to parse as one can abort Envoy. Token or 0. */
export function grpcStream(
  service: usize,
  serviceLength: usize,
  name: usize,
  nameLength: usize,
  method: usize,
  methodLength: usize,
): u32 {
  const status = abi.proxy_grpc_stream(service, serviceLength, name, nameLength, method, methodLength, 0, 0, OUT_WORD);
  return status == abi.Status.Ok ? load<u32>(OUT_WORD) : 0;
}

export function grpcSend(token: u32, from: usize, length: usize): bool {
  return abi.proxy_grpc_send(token, from, length, 0) == abi.Status.Ok;
}

/** Frees the host's side of a stream that the peer closed. */
export function grpcClose(token: u32): void {
  abi.proxy_grpc_close(token);
}

/** Resets a stream; no callback follows. */
export function grpcCancel(token: u32): void {
  abi.proxy_grpc_cancel(token);
}

/** Defines `ballast.` and what was written from METRIC_NAME to `end`: the metric's id, 0 when the host refuses. */
export function defineMetric(type: u32, end: usize): u32 {
  putText(LINE, METRIC_PREFIX);
  return abi.proxy_define_metric(type, LINE, end - LINE, OUT_WORD) == abi.Status.Ok ? load<u32>(OUT_WORD) : 0;
}

export function incrementMetric(id: u32, by: u64): void {
  abi.proxy_increment_metric(id, by);
}

export function recordMetric(id: u32, to: u64): void {
  abi.proxy_record_metric(id, to);
}
