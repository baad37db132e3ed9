import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { build, change, ci, HOUR_MS, incident, NINE_MS, relation, taskCi, twoSites, YAML } from "./estate.fixture.ts";
import { pastWindows } from "./past-windows.ts";
import { coupledServices } from "./service-coupling.ts";

/** `pay` of the fixture and `report`, bound to Report and its database. */
const TWO = `${YAML}  report:
    ci: Report
    capacity: { rpsPerCore: 10 }
    targets:
      report-a: { ci: report-db, base: 100% }
`;

describe("windows of the past", () => {
  test("hold closed changes with their planned span, and take what depends on their CIs", () => {
    const records = twoSites({
      changes: [
        change("CHG1", "srv-db-b", {
          state: "closed",
          plan: { type: "normal", riskLevel: null, impact: null, group: "", createdMs: NINE_MS - 48 * HOUR_MS },
        }),
      ],
    });
    const [window] = pastWindows(records, build(records)).get("pay")!;
    assert.deepEqual(
      [window!.startMs, window!.endMs, window!.knownAtMs],
      [NINE_MS, NINE_MS + 2 * HOUR_MS, NINE_MS - 48 * HOUR_MS],
    );
    // Site b has a third of the cores.
    assert.ok(window!.share > 0.3 && window!.share < 0.36, `${window!.share}`);
  });

  test("a change of which nobody knows when it was filed is known when it begins, a refused one never", () => {
    const records = twoSites({
      changes: [
        change("CHG1", "app-a"),
        change("CHG2", "app-a", { approval: "rejected" }),
        change("CHG3", "app-a", { state: "canceled" }),
      ],
      taskCis: [taskCi("CHG1", "app-b")],
    });
    const windows = pastWindows(records, build(records)).get("pay")!;
    assert.deepEqual(
      windows.map(({ knownAtMs, share }) => [knownAtMs, share]),
      [[NINE_MS, 1]],
    );
  });

  test("an incident is known from its opening, its end from its resolution; without one it is open or tells nothing", () => {
    const end = NINE_MS + 3 * HOUR_MS;
    const records = twoSites({
      incidents: [
        incident("INC1", "app-a", { state: "closed", resolvedMs: end }),
        incident("INC2", "app-a", { priority: 2 }),
        incident("INC3", "app-a", { state: "closed" }),
        incident("INC4", "app-a", { priority: 4 }),
      ],
    });
    const windows = pastWindows(records, build(records)).get("pay")!;
    assert.deepEqual(
      windows.map(({ endMs, endKnownAtMs }) => [endMs, endKnownAtMs]),
      [
        [end, end],
        [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
      ],
    );
  });
});

describe("coupled services", () => {
  test("are those that stand on the same CIs, by how much they share", () => {
    const apart = build(twoSites(), TWO);
    assert.deepEqual(coupledServices(apart).get("pay"), []);
    const shared = build(twoSites({ relations: [relation("report-db", "db-a")] }), TWO);
    const [one] = coupledServices(shared).get("pay")!;
    assert.equal(one!.service, "report");
    assert.ok(one!.weight > 0.5 && one!.weight < 1);
    assert.deepEqual(coupledServices(shared).get("report"), [{ service: "pay", weight: one!.weight }]);
    const caller = build(twoSites({ relations: [relation("Report", "Pay")] }), TWO);
    assert.equal(coupledServices(caller).get("report")![0]!.weight, 1);
  });

  test("a service without any CI of another has none", () => {
    const records = twoSites({ cis: [ci("alone", "cmdb_ci_appl")] });
    assert.deepEqual([...coupledServices(build(records)).values()], [[]]);
  });
});
