// Protobuf wire format, bounded: a reader over bytes that never leaves them, a writer into one buffer that never leaves it.
// https://protobuf.dev/programming-guides/encoding/

import { REQUEST_BYTES, requestBuffer } from "./memory";

export namespace Wire {
  export const Varint: u32 = 0;
  export const Fixed64: u32 = 1;
  export const Bytes: u32 = 2;
  export const Fixed32: u32 = 5;
}

/** One message being read. After `next` returned false, `ok` tells the end from a fault. */
@unmanaged
export class Reader {
  at: usize;
  end: usize;
  ok: bool;
  field: u32;
  wire: u32;
  /** Varint and fixed fields. */
  number: u64;
  /** Bytes fields. */
  bytes: usize;
  length: usize;

  open(from: usize, length: usize): void {
    this.at = from;
    this.end = from + length;
    this.ok = true;
  }

  /** Reads one field whole. Unknown ones are returned like all others: the caller passes them over. */
  next(): bool {
    if (!this.ok || this.at >= this.end) return false;
    const tag = this.varint();
    this.field = <u32>(tag >> 3);
    this.wire = <u32>(tag & 7);
    if (tag > 0xffffffff || this.field == 0) this.ok = false;
    else if (this.wire == Wire.Varint) this.number = this.varint();
    else if (this.wire == Wire.Fixed64) this.fixed(8);
    else if (this.wire == Wire.Fixed32) this.fixed(4);
    else if (this.wire == Wire.Bytes) {
      const length = this.varint();
      if (length > <u64>(this.end - this.at)) this.ok = false;
      else {
        this.bytes = this.at;
        this.length = <usize>length;
        this.at += this.length;
      }
    } else this.ok = false;
    return this.ok;
  }

  is(field: u32, wire: u32): bool {
    return this.field == field && this.wire == wire;
  }

  private varint(): u64 {
    let result: u64 = 0;
    for (let shift: u64 = 0; shift < 70; shift += 7) {
      if (this.at >= this.end) break;
      const byte = <u64>load<u8>(this.at++);
      result |= (byte & 127) << shift;
      if (byte < 128) return result;
    }
    this.ok = false;
    return 0;
  }

  private fixed(size: usize): void {
    if (this.end - this.at < size) {
      this.ok = false;
      return;
    }
    this.number = size == 8 ? load<u64>(this.at) : <u64>load<u32>(this.at);
    this.at += size;
  }
}

let at: usize = 0;

export function startMessage(): void {
  at = requestBuffer();
}
export function message(): usize {
  return requestBuffer();
}
export function messageLength(): usize {
  return at - requestBuffer();
}

function putVarint(value: u64): void {
  while (value > 127) {
    store<u8>(at++, ((<u32>value) & 127) | 128);
    value >>= 7;
  }
  store<u8>(at++, <u32>value);
}

export function varintSize(value: u64): usize {
  return <usize>(70 - clz(value | 1)) / 7;
}

/** Size of a bytes field of a number below 16. */
export function bytesSize(length: usize): usize {
  return length == 0 ? 0 : 1 + varintSize(length) + length;
}

/** Left out when empty, as proto3 does, unless `always` (members of a repeated field, sub-messages). */
export function putBytesField(
  field: u32,
  from: usize,
  length: usize,
  always: bool,
): void {
  if ((length == 0 && !always) || !openField(field, length)) return;
  memory.copy(at, from, length);
  at += length;
}

/** Begins a sub-message whose fields of together `length` bytes follow. False, and nothing written, when it does not fit. */
export function openField(field: u32, length: usize): bool {
  if (at + length + 16 > requestBuffer() + REQUEST_BYTES) return false;
  putVarint((field << 3) | Wire.Bytes);
  putVarint(length);
  return true;
}

export function putNumberField(field: u32, value: u64): void {
  if (at + 16 > requestBuffer() + REQUEST_BYTES) return;
  putVarint((field << 3) | Wire.Varint);
  putVarint(value);
}
