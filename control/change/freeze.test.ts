import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { occurrences, type Schedule } from "../../common/recurrence.ts";
import { type Exemption, FreezeCalendar, type FreezeWindow } from "./freeze.ts";

const at = Date.parse;
const once = (start: string, end: string, zone = "UTC"): Schedule => ({ zone, start, end, repeat: null });

function window(
  id: string,
  effect: "deny" | "allow",
  schedule: Schedule,
  services: string[] | null = null,
): FreezeWindow {
  return { id, name: id, source: "policy", effect, services, schedule, reason: "for the test" };
}

const MORNING = once("2026-03-02T08:00", "2026-03-02T12:00");
const EARLY = once("2026-03-02T09:00", "2026-03-02T10:00");

test("deny beats allow, and outside of every allow window all is frozen", () => {
  const calendar = new FreezeCalendar([window("open", "allow", MORNING), window("shut", "deny", EARLY)]);
  const frozen = (time: string) => calendar.check("payments", at(`2026-03-02T${time}Z`), []);
  assert.equal(frozen("07:59").frozen, true);
  assert.match(frozen("07:59").text, /outside of open/);
  assert.equal(frozen("08:00").frozen, false);
  assert.deepEqual(frozen("09:00").by, [{ id: "shut", name: "shut" }]);
  assert.equal(frozen("10:00").frozen, false);
  assert.equal(frozen("12:00").frozen, true);
});

test("a window of other services does not count", () => {
  const calendar = new FreezeCalendar([window("shut", "deny", MORNING, ["quotes"])]);
  assert.equal(calendar.check("payments", at("2026-03-02T09:00Z"), []).frozen, false);
  assert.equal(calendar.check("quotes", at("2026-03-02T09:00Z"), []).frozen, true);
});

test("a break-glass lets changes pass for its services and its time, and says who and why", () => {
  const calendar = new FreezeCalendar([window("shut", "deny", MORNING)]);
  const glass: Exemption = {
    id: "break:7",
    services: ["payments"],
    fromMs: at("2026-03-02T09:00Z"),
    untilMs: at("2026-03-02T09:30Z"),
    by: "alice",
    reason: "P1 INC0099",
  };
  const check = (service: string, time: string) => calendar.check(service, at(`2026-03-02T${time}Z`), [glass]);
  assert.equal(check("payments", "08:59").frozen, true);
  assert.equal(check("payments", "09:00").frozen, false);
  assert.match(check("payments", "09:10").text, /shut; broken by alice: P1 INC0099/);
  assert.equal(check("quotes", "09:10").frozen, true);
  assert.equal(check("payments", "09:30").frozen, true);
});

test("when the clock is set back, a deny window covers the doubled hour twice and an allow window neither", () => {
  // 2026-10-25 in Berlin: 02:00–03:00 is shown twice, 00:00–02:00 in UTC.
  const span = once("2026-10-25T02:15", "2026-10-25T02:45", "Europe/Berlin");
  const deny = new FreezeCalendar([window("deny", "deny", span)]);
  for (const [time, frozen] of [
    ["00:14", false],
    ["00:15", true],
    ["01:00", true],
    ["01:44", true],
    ["01:45", false],
  ]) {
    assert.equal(deny.check("s", at(`2026-10-25T${time}Z`), []).frozen, frozen, String(time));
  }
  const allow = new FreezeCalendar([window("allow", "allow", span)]);
  for (const time of ["00:20", "01:20"])
    assert.equal(allow.check("s", at(`2026-10-25T${time}Z`), []).frozen, true, time);
});

test("what is kept between questions never changes an answer, even when the clock jumps", () => {
  const schedule: Schedule = {
    ...once("2026-03-02T22:00", "2026-03-03T04:00", "America/New_York"),
    repeat: { unit: "weekly", every: 1, weekdays: [1, 5], monthly: "day", untilDate: null },
  };
  const calendar = new FreezeCalendar([window("w", "deny", schedule)]);
  const start = at("2026-02-20T00:00Z");
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 60 * 24 * 60 }), { minLength: 1, maxLength: 40 }), (minutes) => {
      for (const minute of minutes) {
        const nowMs = start + minute * 60_000;
        const open = occurrences(schedule, nowMs, nowMs + 1, "widest").length > 0;
        const verdict = calendar.check("s", nowMs, []);
        assert.equal(verdict.frozen, open);
        assert.ok(verdict.untilMs > nowMs);
      }
    }),
    { numRuns: 50 },
  );
});
