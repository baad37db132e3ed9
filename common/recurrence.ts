import { Temporal } from "temporal-polyfill";
import { dateAt, instantOf, type LocalTime } from "./zoned.ts";

/**
 * When something recurs, by the calendar of one zone. The rules are those of RFC 5545 (FREQ, INTERVAL, BYDAY, UNTIL; weeks
 * begin on Monday): a day that a month or year does not have is left out. `lastDay` and `lastWeekday` always exist.
 */
export interface Repeat {
  unit: "daily" | "weekly" | "monthly" | "yearly";
  /** Every so many units, 1 … 1,000. */
  every: number;
  /** For weekly: days on which it begins, 1 = Monday … 7 = Sunday; empty: the day of `start`. */
  weekdays: readonly number[];
  /**
   * For monthly. day: the day of the month of `start`; weekday: the same weekday by count (its second Tuesday);
   * lastDay: the last day; lastWeekday: the last such weekday.
   */
  monthly: "day" | "weekday" | "lastDay" | "lastWeekday";
  /** Last local date on which it may begin, `2026-12-31`; null: for ever. */
  untilDate: string | null;
}

/** Local times of the first occurrence, and how it recurs. `end` is after `start`; the same clock times hold every time. */
export interface Schedule {
  zone: string;
  start: LocalTime;
  end: LocalTime;
  repeat: Repeat | null;
}

export interface Occurrence {
  startMs: number;
  endMs: number;
}

/**
 * On the days when clocks are changed a span is as long as it can be with `widest` and as short as it can be with
 * `narrowest`; it differs only when its start or end is a time that the clock shows twice.
 */
export type Reading = "widest" | "narrowest";

/** A longer span is refused where it is read: it would make every look-up walk through years. */
export const MAX_SPAN_DAYS = 366;
/** Most occurrences of one answer. */
const MAX_OCCURRENCES = 1_000;
/** Clock changes and the date line: a local date is never further than this from the instant's date in UTC. */
const SLACK_DAYS = 2;

/** The occurrences that overlap [fromMs, toMs), by their start; at most 1,000. Empty spans (a skipped hour) are left out. */
export function occurrences(schedule: Schedule, fromMs: number, toMs: number, reading: Reading): Occurrence[] {
  const start = Temporal.PlainDateTime.from(schedule.start);
  const end = Temporal.PlainDateTime.from(schedule.end);
  const first = start.toPlainDate();
  const spanDays = first.until(end.toPlainDate(), { largestUnit: "days" }).days;
  const lowest = dateAt(fromMs, schedule.zone).subtract({ days: spanDays + SLACK_DAYS });
  const highest = dateAt(toMs, schedule.zone).add({ days: SLACK_DAYS });
  const found: Occurrence[] = [];
  for (const date of startDates(schedule, first, lowest, highest)) {
    const startMs = instantOf(
      date.toPlainDateTime(start.toPlainTime()),
      schedule.zone,
      reading === "widest" ? "first" : "last",
    );
    const endMs = instantOf(
      date.add({ days: spanDays }).toPlainDateTime(end.toPlainTime()),
      schedule.zone,
      reading === "widest" ? "last" : "first",
    );
    if (startMs < toMs && endMs > fromMs && startMs < endMs) found.push({ startMs, endMs });
    if (found.length === MAX_OCCURRENCES) break;
  }
  return found;
}

/** Local dates from `lowest` to `highest` on which an occurrence begins, in order. */
function* startDates(
  { repeat }: Schedule,
  first: Temporal.PlainDate,
  lowest: Temporal.PlainDate,
  highest: Temporal.PlainDate,
): Generator<Temporal.PlainDate> {
  const { compare } = Temporal.PlainDate;
  if (repeat === null) {
    if (compare(first, lowest) >= 0 && compare(first, highest) <= 0) yield first;
    return;
  }
  const until = repeat.untilDate === null ? highest : earliest(highest, Temporal.PlainDate.from(repeat.untilDate));
  const from = compare(first, lowest) > 0 ? first : lowest;
  for (let turn = firstTurn(repeat, first, from); ; turn++) {
    const { period, dates } = turnDates(repeat, first, turn);
    if (compare(period, until) > 0) return;
    for (const date of dates) if (compare(date, from) >= 0 && compare(date, until) <= 0) yield date;
  }
}

/** Number of a turn (a day, week, month or year of the rule) at or before the one that `from` lies in. */
function firstTurn(repeat: Repeat, first: Temporal.PlainDate, from: Temporal.PlainDate): number {
  const days = first.until(from, { largestUnit: "days" }).days;
  const months = (from.year - first.year) * 12 + from.month - first.month;
  const units = { daily: days, weekly: Math.floor(days / 7), monthly: months, yearly: from.year - first.year };
  return Math.max(0, Math.floor(units[repeat.unit] / repeat.every) - 1);
}

/** The dates of one turn, and the first date that the turn can have. */
function turnDates(
  repeat: Repeat,
  first: Temporal.PlainDate,
  turn: number,
): { period: Temporal.PlainDate; dates: Temporal.PlainDate[] } {
  const by = turn * repeat.every;
  switch (repeat.unit) {
    case "daily": {
      const date = first.add({ days: by });
      return { period: date, dates: [date] };
    }
    case "weekly": {
      const monday = first.subtract({ days: first.dayOfWeek - 1 }).add({ weeks: by });
      const weekdays = repeat.weekdays.length === 0 ? [first.dayOfWeek] : [...repeat.weekdays].sort((a, b) => a - b);
      return { period: monday, dates: weekdays.map((day) => monday.add({ days: day - 1 })) };
    }
    case "monthly": {
      const month = first.toPlainYearMonth().add({ months: by });
      const date = dayOfMonth(repeat.monthly, first, month);
      return { period: month.toPlainDate({ day: 1 }), dates: date === null ? [] : [date] };
    }
    case "yearly": {
      const period = new Temporal.PlainDate(first.year + by, 1, 1);
      const month = period.with({ month: first.month });
      return { period, dates: first.day > month.daysInMonth ? [] : [month.with({ day: first.day })] };
    }
  }
}

function dayOfMonth(
  kind: Repeat["monthly"],
  first: Temporal.PlainDate,
  month: Temporal.PlainYearMonth,
): Temporal.PlainDate | null {
  const { daysInMonth } = month;
  const firstOfMonth = month.toPlainDate({ day: 1 });
  const firstSuch = 1 + ((first.dayOfWeek - firstOfMonth.dayOfWeek + 7) % 7);
  const day = {
    day: first.day,
    weekday: firstSuch + 7 * Math.floor((first.day - 1) / 7),
    lastDay: daysInMonth,
    lastWeekday: firstSuch + 7 * Math.floor((daysInMonth - firstSuch) / 7),
  }[kind];
  return day > daysInMonth ? null : firstOfMonth.with({ day });
}

function earliest(a: Temporal.PlainDate, b: Temporal.PlainDate): Temporal.PlainDate {
  return Temporal.PlainDate.compare(a, b) <= 0 ? a : b;
}
