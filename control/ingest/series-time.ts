const SLASHED = /^(\d{1,2})\/(\d{1,2})\/(\d{4})(?:[ T](\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?))?$/;
const DOTTED = /^(\d{1,2})\.(\d{1,2})\.(\d{4})(?:[ T](\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?))?$/;
const ISO =
  /^(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2}(?: \S+)?)?(?: m=\S+)?$/i;

/**
 * Reads the times of one column: ISO 8601 with `-` or `/` (zone `Z`, `UTC`, `GMT` or an offset; without one: UTC), `DD.MM.YYYY HH:MM:SS`,
 * the form that Go prints, and whole or decimal seconds or milliseconds since 1970. `a/b/YYYY` is read as one half of the
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
    const slashed = SLASHED.exec(text);
    if (slashed === null) return `${text === "" ? "an empty cell" : text} is not a time`;
    this.metSlashes = true;
    const [month, day] = this.#monthFirst ? [slashed[1]!, slashed[2]!] : [slashed[2]!, slashed[1]!];
    return this.#build(text, [slashed[3]!, month, day, ...clock(slashed[4])], 0);
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
  const [hour = "0", minute = "0", second = "0"] = (text ?? "").split(":").filter((part) => part !== "");
  const [whole = "0", fraction = ""] = second.split(".");
  return [hour, minute, whole, fraction];
}

function offsetMs(zone: string): number {
  const match = /^([+-])(\d{2}):?(\d{2})/.exec(zone);
  if (match === null) return 0;
  return (match[1] === "-" ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3])) * 60_000;
}
