import assert from "node:assert/strict";
import { test } from "node:test";
import { change, HOUR_MS, incident, NINE_MS, ref, twoSites } from "../../estate/estate.fixture.ts";
import type { ChangePlan, EstateRecords } from "../../ingest/records.ts";
import { ChangeHistory } from "./change-history.ts";
import { riskRows } from "./risk-features.ts";
import { RISK_FEATURES, riskFeature } from "./schema.ts";
import { trainingCases } from "./training-cases.ts";

const DAY_MS = 24 * HOUR_MS;
const plan = (more: Partial<ChangePlan> = {}): ChangePlan => ({
  type: "normal",
  riskLevel: 2,
  impact: 2,
  createdMs: NINE_MS - 10 * DAY_MS,
  group: "dba",
  ...more,
});

function row(records: EstateRecords, number: string, target = "app-b"): Record<string, number> {
  const history = new ChangeHistory(records);
  const one = trainingCases(history, ["app-a", "app-b"], () => true).find(
    ({ facts, targetCi }) => facts.number === number && targetCi === target,
  );
  assert.ok(one, `${number} reaches ${target}`);
  const values = riskRows([one], history);
  return Object.fromEntries(RISK_FEATURES.map(({ name }, i) => [name, values[i]!]));
}

test("a change on a database reaches the target above it, with what its form says", () => {
  const records = twoSites({
    changes: [change("CHG1", "db-b", { plan: plan({ type: "emergency", riskLevel: 3, impact: 1 }) })],
  });
  const got = row(records, "CHG1");
  assert.deepEqual(
    [got.emergency, got.standard, got.risk_level, got.impact_level, got.distance, got.layer],
    [1, 0, 3, 3, 1, 3],
  );
  assert.ok(Math.abs(got.planned_hours! - Math.log1p(2)) < 1e-6);
  assert.ok(Math.abs(got.lead_hours! - Math.log1p(240)) < 1e-6);
  const history = new ChangeHistory(records);
  assert.deepEqual(
    trainingCases(history, ["app-a", "app-b"], () => true).map((c) => c.targetCi),
    ["app-b"],
  );
});

test("blank facts are NaN and not zero", () => {
  const got = row(twoSites({ changes: [change("CHG1", "db-b")] }), "CHG1");
  for (const name of [
    "emergency",
    "standard",
    "risk_level",
    "impact_level",
    "lead_hours",
    "group_failures",
    "ci_age",
    "since_change",
  ])
    assert.ok(Number.isNaN(got[name]), name);
  assert.equal(got.ci_incidents, 0);
});

test("tickets after the start say nothing: the row is the same with and without them", () => {
  const before = [
    change("CHG0", "db-b", {
      plannedStartMs: NINE_MS - 5 * DAY_MS,
      plannedEndMs: NINE_MS - 5 * DAY_MS + HOUR_MS,
      plan: plan(),
    }),
    change("CHG1", "db-b", { plan: plan() }),
  ];
  const past = [incident("INC0", "db-b", { openedMs: NINE_MS - DAY_MS, resolvedMs: NINE_MS - HOUR_MS })];
  const later = {
    changes: [
      ...before,
      change("CHG2", "db-b", {
        plan: plan({ createdMs: NINE_MS + HOUR_MS / 2 }),
        plannedStartMs: NINE_MS + HOUR_MS,
        plannedEndMs: NINE_MS + 3 * HOUR_MS,
      }),
    ],
    incidents: [
      ...past,
      incident("INC1", "app-b", { openedMs: NINE_MS + HOUR_MS, causedBy: ref("CHG1") }),
      incident("INC2", "db-b", { openedMs: NINE_MS }),
    ],
  };
  const then = row(twoSites({ changes: before, incidents: past }), "CHG1");
  assert.deepEqual(row(twoSites(later), "CHG1"), then);
  assert.ok(Math.abs(then.ci_incidents! - Math.LN2) < 1e-6, "the incident of the day before counts");
  assert.equal(then.open_incidents, 0);
  assert.equal(then.ci_failures, Math.fround((0.06 * 20) / 21));
});

test("a failure counts against its group and CI once its incident is open", () => {
  const failed = change("CHG0", "db-b", {
    plannedStartMs: NINE_MS - 5 * DAY_MS,
    plannedEndMs: NINE_MS - 5 * DAY_MS + HOUR_MS,
    plan: plan(),
  });
  const caused = incident("INC0", "app-b", { openedMs: NINE_MS - 5 * DAY_MS + HOUR_MS / 2, causedBy: ref("CHG0") });
  const records = twoSites({ changes: [failed, change("CHG1", "db-b", { plan: plan() })], incidents: [caused] });
  const got = row(records, "CHG1");
  assert.equal(got.group_failures, Math.fround((1 + 0.06 * 20) / 21));
  assert.equal(got.ci_failures, got.group_failures);
  assert.equal(row(records, "CHG0").group_failures, Math.fround(0.06));
  const history = new ChangeHistory(records);
  const [first, second] = trainingCases(history, ["app-b"], () => true);
  assert.deepEqual([first!.degraded, second!.degraded], [true, false]);
});

test("a change conflicts with what overlaps on its CIs or their neighbours and stood in the calendar, also if cancelled later", () => {
  const records = twoSites({
    changes: [
      change("CHG1", "db-b", { plan: plan() }),
      change("CHG2", "srv-db-b", { plan: plan(), plannedStartMs: NINE_MS + HOUR_MS, state: "canceled" }),
      change("CHG3", "db-a", { plan: plan() }),
      change("CHG4", "db-b", { plan: plan({ createdMs: NINE_MS + 1 }) }),
    ],
  });
  assert.ok(Math.abs(row(records, "CHG1").conflicts! - Math.log1p(1)) < 1e-6);
});

test("an incident with another number or on a CI off the path does not make the target degraded", () => {
  const changes = [change("CHG1", "db-b", { plan: plan() })];
  const on = (ci: string, more = {}) =>
    incident("INC1", ci, { openedMs: NINE_MS + HOUR_MS, causedBy: ref("CHG1"), ...more });
  const degraded = (one: ReturnType<typeof on>): boolean => {
    const history = new ChangeHistory(twoSites({ changes, incidents: [one] }));
    return trainingCases(history, ["app-b"], () => true)[0]!.degraded;
  };
  assert.equal(degraded(on("app-b")), true);
  assert.equal(degraded(on("db-b")), true);
  assert.equal(degraded(on("app-a")), false);
  assert.equal(degraded(on("app-b", { causedBy: ref("CHG9") })), false);
  assert.equal(degraded(on("app-b", { openedMs: NINE_MS + 27 * HOUR_MS })), false);
  assert.equal(degraded(on("app-b", { openedMs: NINE_MS - 1 })), false);
});

test("columns have one name each, and the hash names their order", () => {
  assert.equal(new Set(RISK_FEATURES.map((f) => f.name)).size, RISK_FEATURES.length);
  assert.equal(riskFeature("emergency"), 0);
  assert.throws(() => riskFeature("close_code"), /no risk feature/);
});
