import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readServiceNow } from "../ingest/servicenow.ts";
import { freezeWindows } from "./calendar.ts";
import { FreezeCalendar } from "./freeze.ts";

type Row = Record<string, unknown>;

/** The windows that an export of these rows gives, and every finding about them. */
async function read(tables: Record<string, Row[]>, maintenanceOnly = false, zone = "Europe/Berlin") {
  const dir = await mkdtemp(join(tmpdir(), "ballast-calendar-"));
  try {
    await writeFile(
      join(dir, "cmdb_ci_service.json"),
      JSON.stringify({ result: [{ sys_id: "s1", name: "Payments" }] }),
    );
    for (const [table, result] of Object.entries(tables)) {
      await writeFile(join(dir, `${table}.json`), JSON.stringify({ result }));
    }
    const records = await readServiceNow(dir);
    const changeControl = {
      standard: { maxStepPpm: null, maxServices: 1, minSharePpm: 0 },
      normal: { maxPending: 1, expireAfterMs: 1 },
      emergency: { approveWithinMs: 1 },
      zone,
      maintenanceOnly,
      freezes: [],
    };
    const { windows, findings } = freezeWindows({ changeControl }, records);
    const faults = [...records.findings, ...findings].filter(({ code }) => code === "BAD_SCHEDULE");
    return { windows, calendar: new FreezeCalendar(windows), faults: faults.map(({ message }) => message) };
  } finally {
    await rm(dir, { recursive: true });
  }
}

const blackout = { sys_id: "b1", name: "Blackouts", time_zone: "America/New_York" };
const span = (more: Row): Row => ({
  sys_id: "e1",
  name: "Quarter end",
  schedule: { link: "x", value: "b1" },
  start_date_time: "20260331T180000",
  end_date_time: "20260401T060000",
  ...more,
});
const frozen = (calendar: FreezeCalendar, time: string) => calendar.check("payments", Date.parse(time), []).frozen;

test("a blackout schedule freezes by the clock of its zone, again and again", async () => {
  const { calendar, faults } = await read({
    cmn_schedule_blackout: [blackout],
    cmn_schedule_span: [
      span({ repeat_type: "monthly", repeat_count: "3", monthly_type: "ldom", repeat_until: "20261231" }),
    ],
  });
  assert.deepEqual(faults, []);
  assert.equal(frozen(calendar, "2026-03-31T21:59Z"), false, "before 18:00 in New York (summer time)");
  assert.equal(frozen(calendar, "2026-03-31T22:00Z"), true);
  assert.equal(frozen(calendar, "2026-04-01T10:00Z"), false);
  assert.equal(frozen(calendar, "2026-06-30T22:30Z"), true, "three months later");
  assert.equal(frozen(calendar, "2026-12-31T23:30Z"), true, "winter time");
  assert.equal(frozen(calendar, "2027-03-31T22:30Z"), false, "after repeat_until");
});

test("the class may stand in sys_class_name, and a floating schedule takes the policy's zone", async () => {
  const { calendar } = await read({
    cmn_schedule: [{ sys_id: "b1", name: "B", sys_class_name: "cmn_schedule_blackout", time_zone: "floating" }],
    cmn_schedule_span: [span({ start_date_time: "2026-07-01 09:00:00", end_date_time: "2026-07-01 10:00:00" })],
  });
  assert.equal(frozen(calendar, "2026-07-01T07:00Z"), true, "09:00 in Berlin");
  assert.equal(frozen(calendar, "2026-07-01T08:00Z"), false);
});

test("an all-day entry lasts to the midnight after its last day, and a time with Z is UTC", async () => {
  const { calendar } = await read({
    cmn_schedule_blackout: [blackout],
    cmn_schedule_span: [
      span({ all_day: "true", start_date_time: "20260501", end_date_time: "20260502" }),
      span({ sys_id: "e2", start_date_time: "20260601T120000Z", end_date_time: "20260601T130000Z" }),
    ],
  });
  assert.equal(frozen(calendar, "2026-05-01T04:00Z"), true);
  assert.equal(frozen(calendar, "2026-05-03T03:59Z"), true);
  assert.equal(frozen(calendar, "2026-05-03T04:00Z"), false);
  assert.equal(frozen(calendar, "2026-06-01T12:30Z"), true);
});

test("maintenance schedules allow only where the policy says so", async () => {
  const tables = {
    cmn_schedule_maintenance: [{ sys_id: "b1", name: "Nights", time_zone: "UTC" }],
    cmn_schedule_span: [span({ repeat_type: "weekdays" })],
  };
  assert.equal((await read(tables)).windows.length, 0);
  const { calendar } = await read(tables, true);
  assert.equal(frozen(calendar, "2026-04-01T12:00Z"), true);
  assert.equal(frozen(calendar, "2026-04-01T18:30Z"), false);
});

test("an entry that cannot be kept is an error finding that names it", async () => {
  const bad: [Row, RegExp][] = [
    [{ start_date_time: "soon" }, /Quarter end.*start_date_time is "soon"/],
    [{ end_date_time: "20260230T000000" }, /end_date_time/],
    [{ end_date_time: "20260331T180000" }, /ends no later than it starts/],
    [{ end_date_time: "20260401T060000Z" }, /different zones/],
    [{ repeat_type: "fortnightly" }, /repeat_type is "fortnightly"/],
    [{ repeat_type: "weekly", days_of_week: "18" }, /days_of_week is "18"/],
    [{ repeat_type: "yearly", yearly_type: "float" }, /floating/],
    [{ repeat_type: "daily", repeat_until: "20261341" }, /repeat_until/],
    [{ end_date_time: "20280101T000000" }, /longer than a year/],
  ];
  for (const [row, expected] of bad) {
    const { windows, faults } = await read({ cmn_schedule_blackout: [blackout], cmn_schedule_span: [span(row)] });
    assert.equal(windows.length, 0, JSON.stringify(row));
    assert.equal(faults.length, 1, JSON.stringify(row));
    assert.match(faults[0]!, expected);
  }
  const mars = await read({
    cmn_schedule_blackout: [{ ...blackout, time_zone: "Mars/Olympus" }],
    cmn_schedule_span: [span({})],
  });
  assert.match(mars.faults[0]!, /Mars\/Olympus/);
});
