// Texts as ASCII bytes. `ascii` is a compile-time function (filter/ascii-transform.mjs): the address of the text's bytes with a
// NUL behind them. A list is one text of words separated by `|`.

import { isEqual, putBytes } from "./bytes";

/** Only at the top level: `const NAME: usize = ascii("text")`. A text may hold NULs, if its length is known otherwise. */
export declare function ascii(text: string): usize;

/** The block that all texts lie in; only the transform refers to it. */
@global
export const TEXTS: usize = ascii("");

/** Writes a text; returns the address after it. */
export function putText(to: usize, text: usize): usize {
  while (load<u8>(text) != 0) store<u8>(to++, load<u8>(text++));
  return to;
}

// The word found last.
let word: usize = 0;
let wordLength: usize = 0;

/** Finds the nth word of a list, counted from 0; false behind the last one. */
function findWord(list: usize, nth: u32): bool {
  let c: u32 = 124;
  for (; c != 0; nth--) {
    word = list;
    for (c = load<u8>(list); c != 0 && c != 124;) c = load<u8>(++list);
    wordLength = list++ - word;
    if (nth == 0) return true;
  }
  return false;
}

/** Writes the nth word of a list; returns the address after it. */
export function putWord(to: usize, list: usize, nth: u32): usize {
  findWord(list, nth);
  return putBytes(to, word, wordLength);
}

/** Which word of a list these bytes are, -1 when none. */
export function indexOfWord(from: usize, length: usize, list: usize): i32 {
  for (let nth = 0; findWord(list, nth); nth++) {
    if (isEqual(word, wordLength, from, length)) return nth;
  }
  return -1;
}
