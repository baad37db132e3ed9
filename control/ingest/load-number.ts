/** Requests per second at most: more in a cell is another quantity, or a mistake. */
export const MOST_RPS = 1e12;

/** As many digits as any program writes: a double has up to 17 that count, and noughts before them. */
const NUMBER = /^(\d{1,12}(\.\d{0,40})?|\.\d{1,40})(e[+-]?\d{1,3})?$/i;
/** How programs write that there is no number. */
const NOTHING = /^(|nan|na|n\/a|null|none)$/i;

/** Requests per second in a cell of text; null where it says that there is none, NaN where it is neither. */
export function loadNumber(text: string): number | null {
  const cell = text.trim();
  if (NOTHING.test(cell)) return null;
  const rps = NUMBER.test(cell) ? Number(cell) : Number.NaN;
  return rps < MOST_RPS ? rps : Number.NaN;
}
