// A bounded JSON reader for the plugin configuration: a cursor over bytes, no tree, no allocation.
// The first fault sticks; every later call then does nothing, so callers check once at the end.

import { ascii, putWord } from "./words";

export namespace Fault {
  export const None: u32 = 0;
  /** Not JSON, a value of another type, or an escape: what should stand there is in docs/reference/filter.md. */
  export const Unexpected: u32 = 1;
  export const OutOfRange: u32 = 2;
  export const UnknownField: u32 = 3;
  export const Twice: u32 = 4;
  export const Name: u32 = 5;
  export const Source: u32 = 6;
  export const TooLarge: u32 = 7;
  export const NoCluster: u32 = 8;
  export const Clash: u32 = 9;
}
// In the order of the numbers above.
const WORDS: usize = ascii(
  "|unexpected|out of range|unknown field|field twice|bad name|bad source|too large|no control_cluster|vm_id in use: take another",
);

let at: usize = 0;
let start: usize = 0;
let end: usize = 0;
let fault: u32 = 0;
let faultAt: usize = 0;

export function open(from: usize, length: usize): void {
  start = at = from;
  end = from + length;
  fault = 0;
  faultAt = 0;
}

export function fail(why: u32): void {
  if (fault != Fault.None) return;
  fault = why;
  faultAt = at - start;
}
export function isOk(): bool {
  return fault == Fault.None;
}
/** Writes why reading failed; returns the address after it. */
export function putWhyNot(to: usize): usize {
  return putWord(to, WORDS, fault);
}
/** Byte offset of the fault. */
export function whereNot(): usize {
  return faultAt;
}

/** The next byte that is not white space, 0 at the end. Takes nothing. */
export function peek(): u32 {
  while (at < end) {
    const c = <u32>load<u8>(at);
    if (c != 32 && c != 10 && c != 13 && c != 9) return c;
    at++;
  }
  return 0;
}

/** Takes one punctuation mark if it is next. */
export function take(mark: u32): bool {
  if (!isOk() || peek() != mark) return false;
  at++;
  return true;
}

export function expect(mark: u32): void {
  if (!take(mark)) fail(Fault.Unexpected);
}

/** After a member of an object: true when another follows. */
export function another(): bool {
  if (take(44)) return true;
  expect(125);
  return false;
}

/** Nothing but white space may be left. */
export function close(): void {
  if (peek() != 0 || at < end) fail(Fault.Unexpected);
}

/** Reads a string into `to` and returns its length in bytes; at most `limit`. */
export function readString(to: usize, limit: usize): usize {
  expect(34);
  let length: usize = 0;
  while (isOk()) {
    if (at >= end) {
      fail(Fault.Unexpected);
      break;
    }
    let c = <u32>load<u8>(at++);
    if (c == 34) return length;
    if (c < 32) fail(Fault.Unexpected);
    if (c == 92) c = readEscape();
    if (length >= limit) fail(Fault.TooLarge);
    else store<u8>(to + length++, c);
  }
  return 0;
}

/** After a backslash: only what stands for itself. No field may hold anything that has to be escaped otherwise. */
function readEscape(): u32 {
  const c = at < end ? <u32>load<u8>(at++) : 0;
  if (c != 34 && c != 92 && c != 47) fail(Fault.Unexpected);
  return c;
}

/** Reads a whole number from `least` to `most`, of nine digits: a tenth is left behind, where nothing expects it. */
export function readNumber(least: u32, most: u32): u32 {
  let number: u32 = 0;
  let digits = 0;
  for (let c = peek(); isOk() && c - 48 < 10 && digits < 9; c = at < end ? <u32>load<u8>(at) : 0) {
    number = number * 10 + (c - 48);
    at++;
    digits++;
  }
  if (digits == 0) fail(Fault.Unexpected);
  if (isOk() && (number < least || number > most)) fail(Fault.OutOfRange);
  return number;
}
