import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { calendar } from "./calendar.ts";
import { empty, START_MS, said } from "./groups.fixture.ts";

describe("the calendar", () => {
  const holidays = [{ date: "2026-03-11", name: "Founders' day", knownAtMs: START_MS }];

  test("says the weekday and the hour of the zone, across a change of its clocks", () => {
    const world = { ...empty, timeZone: "Europe/Berlin" };
    assert.equal(said(calendar, world, Date.UTC(2026, 2, 8, 22)).calendar_weekday, 0);
    assert.equal(said(calendar, world, Date.UTC(2026, 2, 8, 23)).calendar_weekday, 1);
    // Summer time since the 29th: 22:00 UTC is midnight.
    assert.equal(said(calendar, world, Date.UTC(2026, 2, 29, 22)).calendar_weekday, 1);
    assert.ok(said(calendar, world, Date.UTC(2026, 2, 29, 22)).calendar_hour_cos! > 0.999);
  });

  test("knows a holiday, the days to and since it, and what day the repeated cycle was", () => {
    const world = { ...empty, holidays };
    const on = said(calendar, world, Date.UTC(2026, 2, 11, 9));
    assert.deepEqual([on.calendar_holiday, on.calendar_day_off, on.calendar_cycle_holiday], [1, 1, 0]);
    const after = said(calendar, world, Date.UTC(2026, 2, 12, 9));
    assert.deepEqual(
      [after.calendar_holiday, after.calendar_cycle_holiday, after.calendar_days_since_holiday],
      [0, 1, 1],
    );
    const before = said(calendar, world, Date.UTC(2026, 2, 9, 9));
    assert.deepEqual([before.calendar_days_to_holiday, before.calendar_cycle_day_off], [2, 1]);
    // The horizon crosses midnight.
    assert.equal(said(calendar, world, Date.UTC(2026, 2, 10, 22), 3).calendar_holiday, 1);
  });

  test("does not know a holiday before it was declared", () => {
    const declared = [{ ...holidays[0]!, knownAtMs: Date.UTC(2026, 2, 10, 12) }];
    const world = { ...empty, holidays: declared };
    assert.equal(said(calendar, world, Date.UTC(2026, 2, 10, 11), 20).calendar_holiday, 0);
    assert.equal(said(calendar, world, Date.UTC(2026, 2, 10, 12), 20).calendar_holiday, 1);
  });
});
