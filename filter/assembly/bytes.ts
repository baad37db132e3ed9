// Bytes in linear memory: digits, comparison, names. Nothing here allocates.

export function putBytes(to: usize, from: usize, length: usize): usize {
  memory.copy(to, from, length);
  return to + length;
}

/** 16 lower-case hex digits. */
export function putHex(to: usize, value: u64): usize {
  for (let i: usize = 0; i < 16; i++) {
    const digit = (<u32>(value >> (60 - ((<u64>i) << 2)))) & 15;
    store<u8>(to + i, digit < 10 ? 48 + digit : 87 + digit);
  }
  return to + 16;
}

export function putDecimal(to: usize, value: u64): usize {
  if (value > 9) to = putDecimal(to, value / 10);
  store<u8>(to, 48 + <u32>(value % 10));
  return to + 1;
}

/** Byte order of equally long texts. One copy of the loop: `memory.compare` makes one for each use. */
export function compare(a: usize, b: usize, length: usize): i32 {
  for (const end = a + length; a < end; a++, b++) {
    const difference = <i32>load<u8>(a) - <i32>load<u8>(b);
    if (difference != 0) return difference;
  }
  return 0;
}

export function isEqual(a: usize, aLength: usize, b: usize, bLength: usize): bool {
  return aLength == bLength && compare(a, b, aLength) == 0;
}

/** The address after a text with its u16 length in front. */
export function afterText(at: usize): usize {
  return at + 2 + <usize>load<u16>(at);
}

/** Two texts with their u16 lengths in front. */
export function isSameText(a: usize, b: usize): bool {
  return isEqual(a + 2, load<u16>(a), b + 2, load<u16>(b));
}

/** Byte order of two texts with their u16 lengths in front; a prefix comes first. */
export function compareTexts(a: usize, b: usize): i32 {
  const aLength = <i32>load<u16>(a);
  const bLength = <i32>load<u16>(b);
  const order = compare(a + 2, b + 2, min(aLength, bLength));
  return order != 0 ? order : aLength - bLength;
}

/** Longest service or target name. */
export const NAME_BYTES: usize = 128;

/** `[A-Za-z0-9._:|-]{1,128}`: what may become a header value or a metric. */
export function isName(from: usize, length: usize): bool {
  if (length == 0 || length > NAME_BYTES) return false;
  for (let i: usize = 0; i < length; i++) {
    const c = <u32>load<u8>(from + i);
    const letter = (c | 32) - 97 < 26;
    // From "-" to ":" these are all but the slash.
    const digitOrMark = (c - 45 < 14) & (c != 47);
    if (!letter & !digitOrMark & (c != 95) & (c != 124)) return false;
  }
  return true;
}
