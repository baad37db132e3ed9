// Protobuf wire format, bounded: a reader over bytes that never leaves them, a writer into one buffer that never leaves it.
// https://protobuf.dev/programming-guides/encoding/

import { REQUEST_BYTES, requestBuffer } from "./memory";

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

// The field that `readField` read last.
export let field: u32 = 0;
/** Of a varint or fixed field; 0 for bytes. */
export let number: u64 = 0;
/** Of a bytes field; 0 for numbers. */
export let bytes: usize = 0;
export let bytesLength: usize = 0;

/** Reads one field whole and returns the address after it, 0 when it is malformed. The caller passes unknown ones over. */
export function readField(at: usize, end: usize): usize {
  cursor = at;
  const tag = readVarint(end);
  const wire = <u32>(tag & 7);
  field = <u32>(tag >> 3);
  number = 0;
  bytes = 0;
  bytesLength = 0;
  if (tag > 0xffffffff || field == 0) return 0;
  let size: usize = wire == FIXED64 ? 8 : wire == FIXED32 ? 4 : 0;
  if (wire == VARINT || wire == BYTES) number = readVarint(end);
  else if (size == 0) return 0;
  if (cursor == 0) return 0;
  if (wire == BYTES) {
    if (number > <u64>(end - cursor)) return 0;
    bytes = cursor;
    size = bytesLength = <usize>number;
    number = 0;
  } else if (size > end - cursor) return 0;
  else if (size != 0) number = size == 8 ? load<u64>(cursor) : <u64>load<u32>(cursor);
  return cursor + size;
}

/** Where the next byte is; 0 after a fault. */
let cursor: usize = 0;

function readVarint(end: usize): u64 {
  let result: u64 = 0;
  for (let shift: u64 = 0; shift < 70 && cursor != 0 && cursor < end; shift += 7) {
    const byte = <u64>load<u8>(cursor++);
    result |= (byte & 127) << shift;
    if (byte < 128) return result;
  }
  cursor = 0;
  return 0;
}

/** Of each field below 8, the last value seen by `readMessage`: 0 u64 number, 8 u32 bytes, 12 u32 length. */
const FIELDS = memory.data(8 * 16, 8);

/** Reads all fields of a message; those of numbers below 8 can be asked for until the next call. False when it is malformed. */
export function readMessage(from: usize, length: usize): bool {
  memory.fill(FIELDS, 0, 8 * 16);
  for (const end = from + length; from < end;) {
    from = readField(from, end);
    if (from == 0) return false;
    if (field >= 8) continue;
    const entry = FIELDS + ((<usize>field) << 4);
    store<u64>(entry, number);
    store<u32>(entry, bytes, 8);
    store<u32>(entry, bytesLength, 12);
  }
  return true;
}


@inline
export function numberOf(field: u32): u64 {
  return load<u64>(FIELDS + ((<usize>field) << 4));
}


@inline
export function bytesOf(field: u32): usize {
  return load<u32>(FIELDS + ((<usize>field) << 4), 8);
}


@inline
export function lengthOf(field: u32): usize {
  return load<u32>(FIELDS + ((<usize>field) << 4), 12);
}

let at: usize = 0;

export function startMessage(): void {
  at = requestBuffer();
}
export function messageLength(): usize {
  return at - requestBuffer();
}

/** A varint. What ends a request, the few numbers after its last bytes field, has room in what that field left free. */
function putVarint(value: u64): void {
  for (; value > 127; value >>= 7) store<u8>(at++, (<u32>value) | 128);
  store<u8>(at++, <u32>value);
}

/** Begins a bytes field or sub-message: its `length` bytes follow. */
export function openField(field: u32, length: usize): void {
  putVarint((field << 3) | BYTES);
  putVarint(length);
}

export function putBytesField(field: u32, from: usize, length: usize): void {
  if (at + length + 40 > requestBuffer() + REQUEST_BYTES) return;
  openField(field, length);
  memory.copy(at, from, length);
  at += length;
}

export function putNumberField(field: u32, value: u64): void {
  putVarint((field << 3) | VARINT);
  putVarint(value);
}
