const ZONE_HOURS: Readonly<Record<string, number>> = {
  // RFC 5322 §4.3, and Europe's.
  ...{ z: 0, utc: 0, gmt: 0, est: -5, edt: -4, cst: -6, cdt: -5, mst: -7, mdt: -6, pst: -8, pdt: -7 },
  ...{ wet: 0, west: 1, cet: 1, cest: 2, eet: 2, eest: 3 },
};
/** An offset may be followed by its name, as Go and Java print it. */
const ZONE = String.raw`(?:${Object.keys(ZONE_HOURS).join("|")}|[+-]\d{2}(?::?\d{2})?(?: [a-z]+)?)`;
const CLOCK = String.raw`(?:(?:,? |T|:)(\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[ap]m)?)\s*(${ZONE})?(?:\[\S+\])?(?: m=\S+)?)?$`;
const form = (date: string): RegExp => new RegExp(`^${date}${CLOCK}`, "i");
const YEAR_FIRST = form(String.raw`(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})`);
const SLASHED = form(String.raw`(\d{1,2})([/-])(\d{1,2})[/-](\d{4}|\d{2})`);
const DOTTED = form(String.raw`(\d{1,2})\.(\d{1,2})\.(\d{4}|\d{2})`);
const DAY_NAMED = form(String.raw`(\d{1,2})[ /-]([a-z]{3})[a-z]*[ /-](\d{4}|\d{2})`);
const NAMED_DAY = form(String.raw`([a-z]{3})[a-z]* (\d{1,2}),? (\d{4})`);
const WEEKDAY = /^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? /i;
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/** Without separators. As seconds a day would lie in 1970 to 1971, and as milliseconds a clock after 2500: no series begins there. */
const COMPACT = /^((?:19|20)\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$/;
const COMPACT_CLOCK = new RegExp(
  String.raw`^((?:19|20)\d{2})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})?|(\d{2})(\d{2})(\d{2}))(${ZONE})?$`,
  "i",
);
const MONTH_ONLY = /^(\d{4})[-/](\d{2})$/;
const MONTH_NAMED = /^([a-z]{3})[a-z]*[ -](\d{4}|\d{2})$/i;
const YEAR_MONTH_NAMED = /^(\d{4})[ -]([a-z]{3})[a-z]*$/i;
const QUARTER = /^(?:(\d{4})[ -]?Q([1-4])|Q([1-4])[ -]?(\d{4}))$/i;
const WEEK = /^(\d{4})-?W(\d{2})(?:-?([1-7]))?$/i;
const NUMBER = /^-?\d+(\.\d+)?(e\+?\d+)?$/i;
const DAY_MS = 86_400_000;

/**
 * Reads the times of one column: ISO 8601 with `-`, `/` or `.` or without separators (zone as an offset, `Z`, `UTC` or a name of RFC 5322;
 * without one: UTC), a month `YYYY-MM` or `Jan 2026`, a quarter `2026-Q1`, a week `2026-W05`, a day `YYYYMMDD`, `DD.MM.YYYY HH:MM:SS`,
 * `DD Mon YYYY`, `Mon DD, YYYY` (clocks also with AM and PM), those of access logs, mail headers and Go, and numbers since 1970: seconds,
 * milliseconds, microseconds or nanoseconds by their size. `a/b/YYYY` or `a-b-YYYY` is read as one half of the world writes it or as the
 * other; the caller, who sees all rows, decides which. Years of two digits are those from 1950 to 2049 (RFC 5322).
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
    const compact = COMPACT.exec(text);
    if (compact !== null) return build(text, compact[1], compact[2], compact[3]);
    const run = COMPACT_CLOCK.exec(text);
    if (run !== null) {
      const [, year, month, day, ...rest] = run;
      const [hour, minute, second = "00"] = rest[0] === undefined ? rest.slice(3, 6) : rest;
      return build(text, year, month, day, `${hour}:${minute}:${second}`, rest[6]);
    }
    if (NUMBER.test(text)) return sinceEpoch(Number(text));
    return this.#date(text.replace(WEEKDAY, "")) ?? `${text === "" ? "an empty cell" : text} is not a time`;
  }

  #date(text: string): number | string | null {
    const iso = YEAR_FIRST.exec(text);
    if (iso !== null) return build(text, ...iso.slice(1));
    const dotted = DOTTED.exec(text);
    if (dotted !== null) return build(text, dotted[3], dotted[2], dotted[1], dotted[4], dotted[5]);
    const day = DAY_NAMED.exec(text);
    if (day !== null) return build(text, day[3], monthOf(day[2]!), day[1], day[4], day[5]);
    const named = NAMED_DAY.exec(text);
    if (named !== null) return build(text, named[3], monthOf(named[1]!), named[2], named[4], named[5]);
    const slashed = SLASHED.exec(text);
    if (slashed !== null) {
      const [, first, , second, year, time, zone] = slashed;
      // `a-b-cc` may begin with the year as well.
      if (slashed[2] === "-" && year!.length === 2) return null;
      this.metSlashes = true;
      return this.#monthFirst
        ? build(text, year, first, second, time, zone)
        : build(text, year, second, first, time, zone);
    }
    return period(text);
  }
}

/** Whether a time says its zone, or counts from 1970, so that it cannot be the hour that a local clock shows twice. */
export function isZoned(text: string): boolean {
  return NUMBER.test(text) || new RegExp(String.raw`\d\s*${ZONE}(?:\[\S+\])?(?: m=\S+)?$`, "i").test(text.slice(8));
}

/** What names a month, a quarter or a week by its start; null where it is none of them. */
function period(text: string): number | string | null {
  const month = MONTH_ONLY.exec(text);
  if (month !== null) return build(text, month[1], month[2], "1");
  const named = MONTH_NAMED.exec(text);
  if (named !== null) return build(text, named[2], monthOf(named[1]!), "1");
  const turned = YEAR_MONTH_NAMED.exec(text);
  if (turned !== null) return build(text, turned[1], monthOf(turned[2]!), "1");
  const quarter = QUARTER.exec(text);
  if (quarter !== null)
    return build(text, quarter[1] ?? quarter[4], String(3 * Number(quarter[2] ?? quarter[3]) - 2), "1");
  const week = WEEK.exec(text);
  if (week === null) return null;
  const [, year, number, day = "1"] = week;
  if (Number(number) < 1 || Number(number) > 53) return `${text} is not a time that there is`;
  // Week 1 is the one with 4 January in it (ISO 8601).
  const fourth = Date.UTC(Number(year), 0, 4);
  const monday = fourth - ((new Date(fourth).getUTCDay() + 6) % 7) * DAY_MS;
  return monday + ((Number(number) - 1) * 7 + Number(day) - 1) * DAY_MS;
}

/** Seconds until the year 5138, milliseconds from 1973 to 5138, and so on: a thousand between each. */
function sinceEpoch(number: number): number {
  const size = Math.abs(number);
  if (size < 1e11) return number * 1000;
  if (size < 1e14) return number;
  return size < 1e17 ? number / 1000 : number / 1e6;
}

function monthOf(name: string): string {
  return String(MONTHS.indexOf(name.toLowerCase()) + 1);
}

function build(
  text: string,
  year?: string,
  month?: string,
  day?: string,
  time?: string,
  zone?: string,
): number | string {
  const [hour = 0, minute = 0, second = 0, fraction = 0] = clock(time);
  const full = year!.length > 2 ? Number(year) : Number(year) + (Number(year) < 50 ? 2000 : 1900);
  const ms = Date.UTC(full, Number(month) - 1, Number(day), hour, minute, second) + Math.trunc(fraction * 1000);
  const back = new Date(ms);
  // Date.UTC rolls 30 February over into March.
  if (
    Number(month) < 1 ||
    Number(month) > 12 ||
    back.getUTCDate() !== Number(day) ||
    hour > 23 ||
    minute > 59 ||
    second > 59
  )
    return `${text} is not a time that there is`;
  return ms - offsetMs(zone);
}

/** Hour, minute, second and fraction of a second. */
function clock(text: string | undefined): number[] {
  if (text === undefined) return [];
  const half = /[ap]m$/i.exec(text)?.[0].toLowerCase();
  const [hour = 0, minute = 0, second = 0] = text
    .replace(/ ?[ap]m$/i, "")
    .replace(",", ".")
    .split(":")
    .map(Number);
  const whole = Math.trunc(second);
  const rest = [minute, whole, Number(`0.${text.split(/[.,]/)[1]?.replace(/\D/g, "") || "0"}`)];
  if (half === undefined) return [hour, ...rest];
  // Twelve comes before one; what is no hour of twelve is refused as 99.
  return [hour >= 1 && hour <= 12 ? (hour % 12) + (half === "pm" ? 12 : 0) : 99, ...rest];
}

function offsetMs(zone: string | undefined): number {
  if (zone === undefined) return 0;
  const match = /^([+-])(\d{2}):?(\d{2})?/.exec(zone);
  if (match === null) return ZONE_HOURS[zone.toLowerCase()]! * 3_600_000;
  return (match[1] === "-" ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3] ?? 0)) * 60_000;
}
