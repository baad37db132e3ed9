const PLAIN = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
/** 1,234 and 1,234,567.8 */
const COMMA_GROUPS = /^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?$/;
/** 1,5 and 1.234,5 */
const COMMA_DECIMAL = /^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d*),\d+(?:e[+-]?\d+)?$/i;
/** 1.234, which may be a number below two or one above a thousand. */
const ONE_DOT_GROUP = /^[+-]?\d{1,3}\.\d{3}$/;
/** 1.234.567 */
const DOT_GROUPS = /^[+-]?\d{1,3}(?:\.\d{3}){2,}$/;
const EMPTY = /^(|na|nan|null|none|-|\.|\?|n\/a|#n\/a|<na>)$/i;

interface Undecided {
  row: number;
  line: number;
  text: string;
}

/**
 * The numbers of one column, in which a comma is either the decimal sign or groups thousands; the column decides which, as a single cell
 * (`1,234`) cannot. Where nothing in it does, commas are decimal if no comma separates the cells, and else the column is refused.
 */
export class NumberColumn {
  readonly #values: number[] = [];
  readonly #commas: Undecided[] = [];
  /** Rows of plain cells that would be thousands where commas are decimal. */
  readonly #dotGroups: number[] = [];
  /** The first cell that shows each of the two. */
  #decimal: Undecided | null = null;
  #grouped: Undecided | null = null;
  #dotDecimal: Undecided | null = null;

  /** Takes the next cell; @returns what is wrong with it, in one sentence, or null. */
  add(text: string, line: number): string | null {
    const row = this.#values.length;
    const here = { row, line, text };
    this.#values.push(Number.NaN);
    if (EMPTY.test(text)) return null;
    if (PLAIN.test(text)) {
      const value = Number(text);
      if (!Number.isFinite(value)) return `${text} is not a finite number`;
      this.#values[row] = value;
      if (ONE_DOT_GROUP.test(text)) this.#dotGroups.push(row);
      else if (text.includes(".")) this.#dotDecimal ??= here;
      return null;
    }
    const groups = COMMA_GROUPS.test(text);
    const decimal = COMMA_DECIMAL.test(text) || DOT_GROUPS.test(text);
    if (!groups && !decimal) return `${text} is not a ${/^[+-]?inf(inity)?$/i.test(text) ? "finite " : ""}number`;
    if (groups && !decimal) this.#grouped ??= here;
    if (decimal && !groups) this.#decimal ??= here;
    this.#commas.push(here);
    return null;
  }

  /** All numbers, NaN where a cell was empty. @param separator of the cells; `fail` gets a sentence and its line, and throws */
  numbers(separator: string, fail: (what: string, line: number) => never): number[] {
    const first = this.#commas[0];
    if (first === undefined) return this.#values;
    const grouped = this.#grouped ?? this.#dotDecimal;
    if (this.#decimal !== null && grouped !== null) {
      const [a, b] = [this.#decimal, grouped].sort((one, other) => one.line - other.line);
      fail(`${b!.text} has another decimal sign than ${a!.text} in line ${a!.line}`, b!.line);
    }
    if (this.#decimal === null && grouped === null && separator === ",")
      fail(
        `${first.text} may be a decimal or thousands: write ${first.text.replaceAll(",", "")} or ${first.text.replace(",", ".")}`,
        first.line,
      );
    const commaIsDecimal = grouped === null;
    for (const { row, text } of this.#commas)
      this.#values[row] = Number(
        commaIsDecimal ? text.replaceAll(".", "").replace(",", ".") : text.replaceAll(",", ""),
      );
    if (commaIsDecimal && this.#decimal !== null)
      for (const row of this.#dotGroups) this.#values[row] = Math.round(this.#values[row]! * 1000);
    return this.#values;
  }
}
