import type { Repeat } from "../../common/recurrence.ts";
import { isLocalTime } from "../../common/zoned.ts";
import type { ScheduleRecord, ScheduleSpanRecord } from "./records.ts";
import { type Fields, quote } from "./servicenow-fields.ts";

export const SPAN_TABLE = "cmn_schedule_span";
const SCHEDULE_TYPES: Record<string, ScheduleRecord["type"]> = {
  cmn_schedule: "other",
  cmn_schedule_blackout: "blackout",
  cmn_schedule_maintenance: "maintenance",
};

export function isScheduleTable(table: string): boolean {
  return Object.hasOwn(SCHEDULE_TYPES, table);
}

export function readSchedule(fields: Fields, table: string): ScheduleRecord {
  // An export of the base table carries the extension in sys_class_name.
  const byClass = SCHEDULE_TYPES[fields.text("sys_class_name")] ?? "other";
  const byTable = SCHEDULE_TYPES[table] ?? "other";
  const zone = fields.text("time_zone");
  return {
    kind: "schedule",
    sysId: fields.provenance.sysId,
    name: fields.text("name") || fields.provenance.sysId,
    type: byTable !== "other" ? byTable : byClass !== "other" ? byClass : typeOf(fields.text("type")),
    zone: zone.toLowerCase() === "floating" ? "" : zone,
    provenance: fields.provenance,
  };
}

/**
 * One span. A span that cannot be read is an error finding and is left out: a freeze that is not kept must be seen.
 * The fields are those of the schedule entry form; days count from Monday = 1.
 */
export function readSpan(fields: Fields): ScheduleSpanRecord | null {
  const name = fields.text("name") || fields.provenance.sysId;
  const refuse = (what: string): null => {
    fields.find("error", "BAD_SCHEDULE", `schedule entry ${quote(name)}: ${what}; it freezes nothing`);
    return null;
  };
  const allDay = ["true", "1"].includes(fields.text("all_day").toLowerCase());
  const start = readTime(fields.text("start_date_time"), allDay, false);
  const end = readTime(fields.text("end_date_time"), allDay, true);
  if (start === null) return refuse(`start_date_time is ${quote(fields.text("start_date_time"))}`);
  if (end === null) return refuse(`end_date_time is ${quote(fields.text("end_date_time"))}`);
  if (start.utc !== end.utc) return refuse("its start and end are of different zones");
  if (start.local >= end.local) return refuse("it ends no later than it starts");
  const repeat = readRepeat(fields);
  if (typeof repeat === "string") return refuse(repeat);
  return {
    kind: "schedule_span",
    sysId: fields.provenance.sysId,
    name,
    schedule: fields.reference("schedule"),
    type: typeOf(fields.text("type")),
    start: start.local,
    end: end.local,
    utc: start.utc,
    repeat,
    provenance: fields.provenance,
  };
}

function typeOf(text: string): ScheduleRecord["type"] {
  const word = text.toLowerCase();
  return word === "blackout" || word === "maintenance" ? word : "other";
}

/** `20261220T180000` (local), `20261220T180000Z`, or `2026-12-20 18:00:00` (local). An all-day entry ends at midnight after its last day. */
function readTime(text: string, allDay: boolean, isEnd: boolean): { local: string; utc: boolean } | null {
  const match = /^(\d{4})-?(\d{2})-?(\d{2})(?:[T ](\d{2}):?(\d{2}):?(\d{2})(Z?))?$/.exec(text);
  if (match === null) return null;
  const [, year, month, day, hour = "00", minute = "00", second = "00", zulu = ""] = match;
  if (allDay) {
    const midnight = `${year}-${month}-${day}T00:00:00`;
    if (!isLocalTime(midnight)) return null;
    const date = new Date(Date.parse(`${midnight}Z`) + (isEnd ? 86_400_000 : 0));
    return { local: date.toISOString().slice(0, 19), utc: false };
  }
  const local = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  return isLocalTime(local) ? { local, utc: zulu === "Z" } : null;
}

const WEEKDAY_SETS: Record<string, readonly number[]> = {
  weekdays: [1, 2, 3, 4, 5],
  weekends: [6, 7],
  weekmwf: [1, 3, 5],
  weektth: [2, 4],
};

/** Null: once. A text: what cannot be read. */
function readRepeat(fields: Fields): Repeat | null | string {
  const type = fields.text("repeat_type").toLowerCase();
  if (type === "" || type === "none" || type === "does not repeat") return null;
  const count = fields.text("repeat_count") || "1";
  const every = /^\d{1,3}$/.test(count) ? Number(count) : 0;
  if (every < 1) return `repeat_count is ${quote(count)}`;
  const untilText = fields.text("repeat_until");
  const until = /^(\d{4})-?(\d{2})-?(\d{2})/.exec(untilText);
  // ServiceNow writes 00000000 for "for ever".
  const forEver = untilText === "" || /^0+$/.test(untilText);
  const untilDate = until === null ? "" : `${until[1]}-${until[2]}-${until[3]}`;
  if (!forEver && !isLocalTime(`${untilDate}T00:00`)) return `repeat_until is ${quote(untilText)}`;
  const rule = { every, weekdays: [] as number[], monthly: "day" as const, untilDate: forEver ? null : untilDate };
  const set = WEEKDAY_SETS[type.replaceAll(/[^a-z]/g, "")];
  if (set !== undefined) return { ...rule, unit: "weekly", weekdays: set };
  switch (type) {
    case "daily":
      return { ...rule, unit: "daily" };
    case "weekly": {
      const days = fields.text("days_of_week");
      if (!/^[1-7]{0,7}$/.test(days)) return `days_of_week is ${quote(days)}`;
      return { ...rule, unit: "weekly", weekdays: [...new Set(days)].map(Number) };
    }
    case "monthly": {
      const kinds: Record<string, Repeat["monthly"]> = {
        "": "day",
        dom: "day",
        dow: "weekday",
        ldom: "lastDay",
        ldow: "lastWeekday",
      };
      const monthly = kinds[fields.text("monthly_type").toLowerCase()];
      if (monthly === undefined) return `monthly_type is ${quote(fields.text("monthly_type"))}`;
      return { ...rule, unit: "monthly", monthly };
    }
    case "yearly":
      // A floating yearly entry (the third Monday of January) is not one that can be kept by its first date.
      if (fields.text("yearly_type").toLowerCase() === "float") return "a floating yearly repetition is not supported";
      return { ...rule, unit: "yearly" };
    default:
      return `repeat_type is ${quote(type)}`;
  }
}
