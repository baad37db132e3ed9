const CLOCK = String.raw`(?:,?[ T](\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[ap]m)?))?$`;
const SLASHED = new RegExp(String.raw`^(\d{1,2})[/-](\d{1,2})[/-](\d{4})${CLOCK}`, "i");
const DOTTED = new RegExp(String.raw`^(\d{1,2})\.(\d{1,2})\.(\d{4})${CLOCK}`, "i");
const NAMED = new RegExp(String.raw`^(\d{1,2})[ -]([a-z]{3})[a-z]*[ -](\d{4})${CLOCK}`, "i");
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/** Of a day without separators; as seconds it would lie in 1970 to 1971, where no series begins. */
const COMPACT = /^(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$/;
const MONTH_ONLY = /^(\d{4})-(\d{2})$/;
const ISO =
  /^(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2}(?: \S+)?)?(?: m=\S+)?$/i;

/**
 * Reads the times of one column: ISO 8601 with `-` or `/` (zone `Z`, `UTC`, `GMT` or an offset; without one: UTC), a month `YYYY-MM`, a day
 * `YYYYMMDD`, `DD.MM.YYYY HH:MM:SS` and `DD Mon YYYY` (clocks also with AM and PM), the form that Go prints, and whole or decimal seconds or milliseconds since 1970. `a/b/YYYY` or `a-b-YYYY` is read as one half of the
 * world writes it or as the other; the caller, who sees all rows, decides which.
 */
export class TimeReader {
  readonly #monthFirst: boolean;
  /** Whether a time was met that the two halves of the world read differently. */
  metSlashes = false;

  constructor(monthFirst: boolean) {
    this.#monthFirst = monthFirst;
  }

  /** Milliseconds since 1970, or one sentence that says what is wrong. */
  read(text: string): number | string {
    if (COMPACT.test(text)) return this.#build(text, [text.slice(0, 4), text.slice(4, 6), text.slice(6)], 0);
    const month = MONTH_ONLY.exec(text);
    if (month !== null) return this.#build(text, [month[1]!, month[2]!, "1"], 0);
    if (/^-?\d+(\.\d+)?$/.test(text)) {
      const number = Number(text);
      // Seconds until the year 5138; larger numbers are milliseconds.
      return Math.abs(number) < 1e11 ? number * 1000 : number;
    }
    const iso = ISO.exec(text);
    if (iso !== null) {
      const [, year, month, day, hour = "0", minute = "0", second = "0", fraction = "", zone = ""] = iso;
      return this.#build(text, [year!, month!, day!, hour, minute, second, fraction], offsetMs(zone));
    }
    const dotted = DOTTED.exec(text);
    if (dotted !== null) return this.#build(text, [dotted[3]!, dotted[2]!, dotted[1]!, ...clock(dotted[4])], 0);
    const named = NAMED.exec(text);
    if (named !== null)
      return this.#build(
        text,
        [named[3]!, String(MONTHS.indexOf(named[2]!.toLowerCase()) + 1), named[1]!, ...clock(named[4])],
        0,
      );
    const slashed = SLASHED.exec(text);
    if (slashed === null) return `${text === "" ? "an empty cell" : text} is not a time`;
    this.metSlashes = true;
    const [monthText, day] = this.#monthFirst ? [slashed[1]!, slashed[2]!] : [slashed[2]!, slashed[1]!];
    return this.#build(text, [slashed[3]!, monthText, day, ...clock(slashed[4])], 0);
  }

  #build(text: string, parts: readonly string[], offset: number): number | string {
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.map(Number);
    const ms = Date.UTC(year, month - 1, day, hour, minute, second) + Math.trunc(Number(`0.${parts[6] || "0"}`) * 1000);
    const back = new Date(ms);
    // Date.UTC rolls 30 February over into March.
    if (month < 1 || month > 12 || back.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59)
      return `${text} is not a time that there is`;
    return ms - offset;
  }
}

function clock(text: string | undefined): string[] {
  const half = /[ap]m$/i.exec(text ?? "")?.[0].toLowerCase();
  const parts = (text ?? "").replace(/ ?[ap]m$/i, "").split(":");
  const [hour = "0", minute = "0", second = "0"] = parts.filter((part) => part !== "");
  const [whole = "0", fraction = ""] = second.split(".");
  // Twelve comes before one; what is no hour of twelve is refused as 99.
  const twelve =
    Number(hour) >= 1 && Number(hour) <= 12 ? String((Number(hour) % 12) + (half === "pm" ? 12 : 0)) : "99";
  return [half === undefined ? hour : twelve, minute, whole, fraction];
}

function offsetMs(zone: string): number {
  const match = /^([+-])(\d{2}):?(\d{2})/.exec(zone);
  if (match === null) return 0;
  return (match[1] === "-" ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3])) * 60_000;
}
