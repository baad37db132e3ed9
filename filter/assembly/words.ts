// Words in lists: a literal of its own costs 28 bytes beside its text, a word in a list one separator.

/** Writes the nth word of a list separated by `|`, counted from 0; returns the address after it. */
export function putWord(to: usize, list: string, nth: u32): usize {
  const from = changetype<usize>(list);
  const end = from + ((<usize>list.length) << 1);
  for (let at = from; at < end; at += 2) {
    const c = load<u8>(at);
    if (c == 124) {
      if (nth-- == 0) break;
    } else if (nth == 0) store<u8>(to++, c);
  }
  return to;
}

const WORD = memory.data(64, 8);

/** Which word of a list these bytes are, -1 when none. `count` words of at most 64 bytes. */
export function indexOfWord(
  from: usize,
  length: usize,
  list: string,
  count: u32,
): i32 {
  for (let nth: u32 = 0; nth < count; nth++) {
    if (
      putWord(WORD, list, nth) - WORD == length &&
      memory.compare(WORD, from, length) == 0
    )
      return nth;
  }
  return -1;
}
