import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { occurrences, type Repeat, type Schedule } from "./recurrence.ts";

const HOUR = 3_600_000;
const MINUTE = 60_000;
const iso = (ms: number) => new Date(ms).toISOString().slice(0, 16);
const never: Repeat = { unit: "daily", every: 1, weekdays: [], monthly: "day", untilDate: null };

function starts(schedule: Schedule, from: string, to: string): string[] {
  return occurrences(schedule, Date.parse(from), Date.parse(to), "widest").map(({ startMs }) => iso(startMs));
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Local time by Intl alone, as sortable text: an independent reading of the zone. */
function localText(ms: number, zone: string): string {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("sv-SE", {
      timeZone: zone,
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    });
    formats.set(zone, format);
  }
  return format.format(ms).replace(" ", "T");
}

/** Days around which these zones change their clocks, both ways; Apia left out a whole day, Lord Howe changes by half an hour. */
const CHANGES: [zone: string, day: string][] = [
  ["Europe/Berlin", "2026-03-29"],
  ["Europe/Berlin", "2026-10-25"],
  ["America/New_York", "2026-03-08"],
  ["America/New_York", "2026-11-01"],
  ["Australia/Lord_Howe", "2026-04-05"],
  ["Australia/Lord_Howe", "2026-10-04"],
  ["Africa/Cairo", "2026-04-24"],
  ["America/Sao_Paulo", "2018-11-04"],
  ["Pacific/Apia", "2011-12-30"],
  ["Asia/Kathmandu", "2026-06-15"],
];

test("on days of clock changes a daily window is what a clock on the wall says, minute by minute", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...CHANGES),
      fc.integer({ min: 0, max: 1439 }),
      fc.integer({ min: 1, max: 1500 }),
      fc.constantFrom("widest", "narrowest"),
      ([zone, day], startMinute, length, reading) => {
        const text = (minutes: number) =>
          new Date(Date.parse(`${day}T00:00:00Z`) + minutes * MINUTE).toISOString().slice(0, 16);
        const [start, end] = [text(startMinute), text(startMinute + length)];
        // The instants of three days around, with what the wall clock shows at each.
        const from = Date.parse(`${day}T00:00:00Z`) - 36 * HOUR;
        const to = from + 5 * 24 * HOUR;
        let [first, last, firstEnd, lastEnd] = [Number.NaN, from, Number.NaN, from];
        for (let ms = from; ms < to; ms += MINUTE) {
          const shown = localText(ms, zone);
          if (Number.isNaN(first) && shown >= start) first = ms;
          if (shown < start) last = ms + MINUTE;
          if (Number.isNaN(firstEnd) && shown >= end) firstEnd = ms;
          if (shown < end) lastEnd = ms + MINUTE;
        }
        const expected = reading === "widest" ? [first, lastEnd] : [last, firstEnd];
        const found = occurrences({ zone, start, end, repeat: null }, from, to, reading as "widest" | "narrowest");
        const spans = found.map(({ startMs, endMs }) => [iso(startMs), iso(endMs)]);
        assert.deepEqual(spans, expected[0]! < expected[1]! ? [expected.map(iso)] : [], `${zone} ${start}–${end}`);
      },
    ),
    { numRuns: 120 },
  );
});

test("every occurrence of a rule is found whichever span is asked for, and no other", () => {
  const rule = fc.record({
    unit: fc.constantFrom("daily", "weekly", "monthly", "yearly"),
    every: fc.integer({ min: 1, max: 5 }),
    weekdays: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { maxLength: 4 }),
    monthly: fc.constantFrom("day", "weekday", "lastDay", "lastWeekday"),
    untilDate: fc.constantFrom(null, "2027-06-30"),
  }) as fc.Arbitrary<Repeat>;
  fc.assert(
    fc.property(
      rule,
      fc.constantFrom("Europe/Berlin", "America/New_York", "UTC", "Pacific/Auckland"),
      fc.integer({ min: 0, max: 730 }),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 0, max: 990 }),
      (repeat, zone, startDay, spanHours, askedDay) => {
        const local = (hours: number) =>
          new Date(Date.parse("2025-01-01T00:00Z") + (startDay * 24 + hours) * HOUR).toISOString().slice(0, 16);
        const schedule = { zone, start: local(22), end: local(22 + spanHours), repeat };
        const from = Date.parse("2025-01-01T00:00Z");
        // A daily rule has 1,000 occurrences in 1,000 days, the most of one answer.
        const all = occurrences(schedule, from, from + 1000 * 24 * HOUR, "widest");
        const asked = from + askedDay * 24 * HOUR;
        const near = occurrences(schedule, asked, asked + 9 * 24 * HOUR, "widest");
        const overlapping = all.filter(({ startMs, endMs }) => startMs < asked + 9 * 24 * HOUR && endMs > asked);
        assert.deepEqual(near, overlapping);
        for (const [i, { startMs }] of all.entries()) {
          if (i > 0) assert.ok(startMs > all[i - 1]!.startMs, "in order");
          const shown = localText(startMs, zone);
          assert.equal(shown.slice(11), "22:00", "the same clock time in winter and summer");
          if (repeat.untilDate !== null) assert.ok(shown.slice(0, 10) <= repeat.untilDate);
        }
      },
    ),
    { numRuns: 150 },
  );
});

test("one answer holds the first 1,000 occurrences, and the next span goes on after them", () => {
  const schedule: Schedule = { zone: "UTC", start: "2025-01-01T22:00", end: "2025-01-01T23:00", repeat: never };
  const all = starts(schedule, "2025-01-01", "2028-12-31");
  assert.equal(all.length, 1000);
  assert.equal(all.at(-1), "2027-09-27T22:00");
  assert.equal(starts(schedule, "2027-09-28", "2028-12-31")[0], "2027-09-28T22:00");
});

test("weekly rules keep their weeks: every second week on Monday and Thursday, from a Wednesday on", () => {
  const schedule: Schedule = {
    zone: "UTC",
    start: "2026-03-04T09:00",
    end: "2026-03-04T11:00",
    repeat: { ...never, unit: "weekly", every: 2, weekdays: [4, 1] },
  };
  assert.deepEqual(starts(schedule, "2026-03-01", "2026-04-03"), [
    "2026-03-05T09:00",
    "2026-03-16T09:00",
    "2026-03-19T09:00",
    "2026-03-30T09:00",
    "2026-04-02T09:00",
  ]);
});

test("monthly rules: a day that a month does not have is left out, the last day and the second Tuesday are not", () => {
  const monthly = (kind: Repeat["monthly"], day: string): Schedule => ({
    zone: "UTC",
    start: `${day}T00:00`,
    end: `${day}T06:00`,
    repeat: { ...never, unit: "monthly", monthly: kind },
  });
  assert.deepEqual(starts(monthly("day", "2026-01-31"), "2026-01-01", "2026-05-01"), [
    "2026-01-31T00:00",
    "2026-03-31T00:00",
  ]);
  assert.deepEqual(starts(monthly("lastDay", "2026-01-31"), "2026-01-01", "2026-05-01"), [
    "2026-01-31T00:00",
    "2026-02-28T00:00",
    "2026-03-31T00:00",
    "2026-04-30T00:00",
  ]);
  assert.deepEqual(starts(monthly("weekday", "2026-01-13"), "2026-01-01", "2026-04-01"), [
    "2026-01-13T00:00",
    "2026-02-10T00:00",
    "2026-03-10T00:00",
  ]);
  assert.deepEqual(starts(monthly("lastWeekday", "2026-01-30"), "2026-01-01", "2026-04-01"), [
    "2026-01-30T00:00",
    "2026-02-27T00:00",
    "2026-03-27T00:00",
  ]);
});

test("a yearly rule of 29 February comes in leap years only, and a span over new year is seen on both sides", () => {
  const leap: Schedule = {
    zone: "UTC",
    start: "2024-02-29T00:00",
    end: "2024-03-01T00:00",
    repeat: { ...never, unit: "yearly" },
  };
  assert.deepEqual(starts(leap, "2024-01-01", "2033-01-01"), [
    "2024-02-29T00:00",
    "2028-02-29T00:00",
    "2032-02-29T00:00",
  ]);
  const yearEnd: Schedule = {
    zone: "Europe/Berlin",
    start: "2025-12-20T00:00",
    end: "2026-01-04T00:00",
    repeat: { ...never, unit: "yearly" },
  };
  for (const at of ["2026-12-25T00:00Z", "2027-01-03T22:59Z"]) {
    assert.equal(occurrences(yearEnd, Date.parse(at), Date.parse(at) + 1, "widest").length, 1, at);
  }
  const after = Date.parse("2027-01-03T23:00Z");
  assert.equal(occurrences(yearEnd, after, after + 1, "widest").length, 0);
});
