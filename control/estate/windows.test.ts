import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ChangeRecord, EstateRecords } from "../ingest/records.ts";
import {
  build,
  change,
  ci,
  codes,
  HOUR_MS,
  incident,
  NINE_MS,
  relation,
  taskCi,
  twoSites,
  windowsOf,
  YAML,
} from "./estate.fixture.ts";

/** Tickets of the windows of pay-a and pay-b. */
function tickets(records: EstateRecords): [string[], string[]] {
  const estate = build(records);
  return [windowsOf(estate, "pay-a").map((w) => w.ticket), windowsOf(estate, "pay-b").map((w) => w.ticket)];
}

describe("a window is inherited along dependencies", () => {
  test("by the targets that reach the ticket's CI, with the path of names", () => {
    const estate = build(twoSites({ changes: [change("CHG1", "srv-db-b")] }));
    assert.deepEqual(windowsOf(estate, "pay-a"), []);
    const [window] = windowsOf(estate, "pay-b");
    assert.deepEqual(window!.path, ["app-b", "db-b", "srv-db-b"]);
    assert.equal(window!.ciName, "srv-db-b");
    assert.equal(window!.remaining, 0);
    assert.equal(window!.startMs, NINE_MS);
    assert.equal(window!.endMs, NINE_MS + 2 * HOUR_MS);
    assert.equal(window!.provenance.sysId, "CHG1");
    assert.deepEqual(estate.findings, []);
  });

  test("from the target's own CI, but not from its service", () => {
    assert.deepEqual(tickets(twoSites({ changes: [change("CHG1", "app-a")] })), [["CHG1"], []]);
    assert.deepEqual(tickets(twoSites({ changes: [change("CHG1", "Pay")] })), [[], []]);
  });

  test("not through the service, even when a relation points from the target back to it", () => {
    const records = twoSites({ changes: [change("CHG1", "db-b")], relations: [relation("app-a", "Pay")] });
    assert.deepEqual(tickets(records), [[], ["CHG1"]]);
  });

  test("by both targets when they share the CI", () => {
    const records = twoSites({
      cis: [ci("san", "cmdb_ci_san")],
      relations: [relation("db-a", "san"), relation("san", "db-b", "Used by::Depends on")],
      changes: [change("CHG1", "san")],
    });
    assert.deepEqual(tickets(records), [["CHG1"], ["CHG1"]]);
  });

  test("from each CI that task_ci adds, once per ticket and by the shortest path", () => {
    const records = twoSites({
      changes: [change("CHG1", "srv-db-b")],
      taskCis: [taskCi("CHG1", "db-b"), taskCi("CHG1", "srv-db-a"), taskCi("PRB9", "db-a")],
    });
    assert.deepEqual(tickets(records), [["CHG1"], ["CHG1"]]);
    assert.deepEqual(windowsOf(build(records), "pay-b")[0]!.path, ["app-b", "db-b"]);
    assert.deepEqual(codes(build(records)), ["note TASK_UNKNOWN"]);
  });

  test("not by a CI that is off the path; the ticket says why it moves nothing", () => {
    const estate = build(twoSites({ changes: [change("CHG1", "report-db")] }));
    assert.deepEqual(windowsOf(estate, "pay-b"), []);
    assert.equal(estate.tickets[0]!.acts, false);
    assert.equal(estate.tickets[0]!.why, "no target depends on report-db");
  });

  test("overlapping windows are all kept, in order of start", () => {
    const early = { plannedStartMs: NINE_MS - HOUR_MS };
    const records = twoSites({
      changes: [change("CHG1", "db-b"), change("CHG2", "srv-db-b", early), change("CHG3", "db-b")],
    });
    assert.deepEqual(tickets(records), [[], ["CHG2", "CHG1", "CHG3"]]);
  });

  test("not through a retired CI", () => {
    const records = twoSites({
      cis: [ci("old-db", "cmdb_ci_db_instance", { lifecycle: "retired" }), ci("old-srv", "cmdb_ci_server")],
      relations: [relation("app-b", "old-db"), relation("old-db", "old-srv")],
      changes: [change("CHG1", "old-srv"), change("CHG2", "old-db")],
    });
    assert.deepEqual(tickets(records), [[], []]);
  });
});

describe("a change acts only when it is approved and under way or to come", () => {
  const quiet: [what: string, more: Partial<ChangeRecord>][] = [
    ["new", { state: "new" }],
    ["in assessment", { state: "assess" }],
    ["awaiting authorisation", { state: "authorize" }],
    ["closed", { state: "closed" }],
    ["cancelled", { state: "canceled" }],
    ["of an unknown state", { state: "unknown" }],
    ["rejected", { approval: "rejected" }],
    ["awaiting approval", { approval: "requested" }],
    ["not sent for approval", { approval: "not requested" }],
    ["of an unknown approval", { approval: "unknown" }],
    ["on hold", { onHold: true }],
  ];
  for (const [what, more] of quiet) {
    test(`one that is ${what} moves nothing`, () => {
      const estate = build(twoSites({ changes: [change("CHG1", "db-b", more)] }));
      assert.deepEqual(windowsOf(estate, "pay-b"), []);
      assert.equal(estate.tickets[0]!.acts, false);
      assert.deepEqual(codes(estate), []);
    });
  }

  const work = { workStartMs: NINE_MS + HOUR_MS / 2, workEndMs: NINE_MS + HOUR_MS };
  const [planned, plannedEnd] = [NINE_MS, NINE_MS + 2 * HOUR_MS];
  const spans: [what: string, more: Partial<ChangeRecord>, startMs: number, endMs: number][] = [
    ["scheduled: its planned span", { state: "scheduled", ...work }, planned, plannedEnd],
    [
      "being implemented: from the actual start",
      { state: "implement", workStartMs: work.workStartMs },
      work.workStartMs,
      plannedEnd,
    ],
    ["being implemented, no actual start: the planned span", { state: "implement" }, planned, plannedEnd],
    ["in review: the actual span", { state: "review", ...work }, work.workStartMs, work.workEndMs],
    ["in review without actual times: the planned span", { state: "review" }, planned, plannedEnd],
  ];
  for (const [what, more, startMs, endMs] of spans) {
    test(`one that is ${what}`, () => {
      const [window] = windowsOf(build(twoSites({ changes: [change("CHG1", "db-b", more)] })), "pay-b");
      assert.deepEqual([window!.startMs, window!.endMs], [startMs, endMs]);
    });
  }

  const broken: [code: string, more: Partial<ChangeRecord>][] = [
    ["WINDOW_REVERSED", { plannedEndMs: NINE_MS - 1 }],
    ["WINDOW_EMPTY", { plannedEndMs: NINE_MS }],
    ["WINDOW_WITHOUT_TIME", { plannedStartMs: null }],
    ["WINDOW_WITHOUT_TIME", { plannedEndMs: null }],
  ];
  for (const [code, more] of broken) {
    test(`one with an impossible span is an error: ${code} ${JSON.stringify(more)}`, () => {
      const estate = build(twoSites({ changes: [change("CHG1", "db-b", more)] }));
      assert.deepEqual(windowsOf(estate, "pay-b"), []);
      assert.deepEqual(codes(estate), [`error ${code}`]);
      assert.match(estate.findings[0]!.message, /CHG1/);
    });
  }
});

describe("references of tickets", () => {
  test("an unknown CI is an error where the ticket would act and a note elsewhere", () => {
    assert.deepEqual(codes(build(twoSites({ changes: [change("CHG1", "db-z")] }))), ["error UNKNOWN_CI"]);
    assert.deepEqual(codes(build(twoSites({ changes: [change("CHG1", "db-z", { state: "closed" })] }))), [
      "note UNKNOWN_CI",
    ]);
  });

  test("a CI given by its name alone is found", () => {
    const byName = change("CHG1", "", { ci: { sysId: "db-b", display: "db-b" } });
    assert.deepEqual(tickets(twoSites({ changes: [byName] })), [[], ["CHG1"]]);
  });

  test("a ticket without any CI is named", () => {
    assert.deepEqual(codes(build(twoSites({ changes: [change("CHG1", "")] }))), ["warning TICKET_WITHOUT_CI"]);
  });

  test("of two records with one sys_id the last updated counts", () => {
    const records = twoSites({
      changes: [change("CHG1", "db-b", { updatedMs: 5 }), change("CHG1", "db-b", { updatedMs: 9, state: "canceled" })],
    });
    assert.deepEqual(tickets(records), [[], []]);
    assert.deepEqual(codes(build(records)), ["warning DUPLICATE_SYS_ID"]);
  });
});

describe("incidents", () => {
  test("an open P1 takes the target out and an open P2 half of it, until somebody resolves it", () => {
    const estate = build(
      twoSites({ incidents: [incident("INC1", "db-a"), incident("INC2", "db-b", { priority: 2 })] }),
    );
    const [p1] = windowsOf(estate, "pay-a");
    assert.deepEqual(
      [p1!.kind, p1!.remaining, p1!.startMs, p1!.endMs],
      ["incident", 0, NINE_MS, Number.POSITIVE_INFINITY],
    );
    assert.equal(windowsOf(estate, "pay-b")[0]!.remaining, 0.5);
  });

  test("the policy says how much remains", () => {
    const records = twoSites({ incidents: [incident("INC1", "db-a"), incident("INC2", "db-b", { priority: 2 })] });
    const estate = build(records, `${YAML}policy: { p1Remaining: 10%, p2Remaining: 75% }\n`);
    assert.equal(windowsOf(estate, "pay-a")[0]!.remaining, 0.1);
    assert.equal(windowsOf(estate, "pay-b")[0]!.remaining, 0.75);
  });

  test("resolved, closed, cancelled, minor and unrated ones move nothing", () => {
    const quiet = [
      incident("INC1", "db-b", { state: "resolved" }),
      incident("INC2", "db-b", { state: "closed" }),
      incident("INC3", "db-b", { state: "canceled" }),
      incident("INC4", "db-b", { priority: 3 }),
      incident("INC5", "db-b", { priority: null }),
    ];
    assert.deepEqual(tickets(twoSites({ incidents: quiet })), [[], []]);
  });

  test("an open one without a usable time of opening acts all the same", () => {
    const estate = build(twoSites({ incidents: [incident("INC1", "db-b", { openedMs: null })] }));
    assert.equal(windowsOf(estate, "pay-b")[0]!.startMs, 0);
  });
});

describe("CIs that are not operational", () => {
  test("a target whose own CI is switched off is out of service without a ticket", () => {
    const records = twoSites();
    records.cis = records.cis.map((c) => (c.sysId === "app-b" ? { ...c, lifecycle: "not_operational" } : c));
    const estate = build(records);
    const [window] = windowsOf(estate, "pay-b");
    assert.deepEqual([window!.kind, window!.remaining, window!.endMs], ["maintenance", 0, Number.POSITIVE_INFINITY]);
    assert.deepEqual(codes(estate), ["warning NOT_OPERATIONAL"]);
  });

  test("a dependency that is switched off is reported", () => {
    const records = twoSites();
    records.cis = records.cis.map((c) => (c.sysId === "db-b" ? { ...c, lifecycle: "not_operational" } : c));
    const estate = build(records);
    assert.deepEqual(windowsOf(estate, "pay-b"), []);
    assert.match(estate.findings[0]!.message, /pay-b: its dependency \(app-b → db-b\)/);
  });
});
