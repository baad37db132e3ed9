import type { FeatureGroup, GroupColumn } from "./group.ts";
import { LocalClock } from "./local-time.ts";

/** Days to and since a holiday are told up to here. */
const MAX_DAYS = 7;
const DAY_MS = 86_400_000;

const COLUMNS: readonly GroupColumn[] = [
  { name: "calendar_weekday", unit: "0 = Sunday … 6", known: "advance" },
  { name: "calendar_hour_sin", unit: "−1 … 1", known: "advance" },
  { name: "calendar_hour_cos", unit: "−1 … 1", known: "advance" },
  { name: "calendar_day_off", unit: "0, 1", known: "advance" },
  { name: "calendar_holiday", unit: "0, 1", known: "advance" },
  { name: "calendar_cycle_day_off", unit: "0, 1", known: "advance" },
  { name: "calendar_cycle_holiday", unit: "0, 1", known: "advance" },
  { name: "calendar_days_to_holiday", unit: "days, 0 … 7", known: "advance" },
  { name: "calendar_days_since_holiday", unit: "days, 0 … 7", known: "advance" },
];

export interface CalendarParameters {
  timeZone: string;
  /** Whether training knew any. */
  holidays: boolean;
}

/**
 * Weekday, hour and holidays in the zone of the people who cause the load. The anchor repeats the cycle one season before: the
 * `cycle` columns say what day that was, so that a Monday after a day off can be told from a Tuesday after a Monday.
 */
export const calendar: FeatureGroup<CalendarParameters> = {
  name: "calendar",
  version: 1,
  fit: (world) => ({ timeZone: world.timeZone ?? "UTC", holidays: world.holidays !== undefined }),
  columns: () => COLUMNS,
  needs: ({ holidays }) => (holidays ? ["holidays"] : []),
  prepare: ({ timeZone }, world) => {
    const clock = new LocalClock(timeZone);
    const known = new Map<string, number>();
    for (const { date, knownAtMs } of world.holidays ?? [])
      known.set(date, Math.min(knownAtMs, known.get(date) ?? Number.POSITIVE_INFINITY));
    return ({ originMs, season, horizon, stepMs }) => {
      const isHoliday = (date: string): boolean => (known.get(date) ?? Number.POSITIVE_INFINITY) <= originMs;
      const cycleMs = season * Math.ceil(horizon / season) * stepMs;
      const distances = new Map<string, [number, number]>();
      const distance = (date: string): [number, number] => {
        let found = distances.get(date);
        if (found === undefined) {
          found = [nearest(date, 1, isHoliday), nearest(date, -1, isHoliday)];
          distances.set(date, found);
        }
        return found;
      };
      return (h, row, at) => {
        const ms = originMs + h * stepMs;
        const { date, weekday, hour } = clock.at(ms);
        const before = clock.at(ms - cycleMs);
        const holiday = isHoliday(date);
        const holidayBefore = isHoliday(before.date);
        const [to, since] = distance(date);
        const angle = (2 * Math.PI * hour) / 24;
        row[at] = weekday;
        row[at + 1] = Math.sin(angle);
        row[at + 2] = Math.cos(angle);
        row[at + 3] = holiday || isWeekend(weekday) ? 1 : 0;
        row[at + 4] = holiday ? 1 : 0;
        row[at + 5] = holidayBefore || isWeekend(before.weekday) ? 1 : 0;
        row[at + 6] = holidayBefore ? 1 : 0;
        row[at + 7] = to;
        row[at + 8] = since;
      };
    };
  },
};

function isWeekend(weekday: number): boolean {
  return weekday === 0 || weekday === 6;
}

function nearest(date: string, direction: 1 | -1, isHoliday: (date: string) => boolean): number {
  const noonMs = Date.parse(`${date}T12:00:00Z`);
  for (let days = 0; days < MAX_DAYS; days++)
    if (isHoliday(new Date(noonMs + direction * days * DAY_MS).toISOString().slice(0, 10))) return days;
  return MAX_DAYS;
}
