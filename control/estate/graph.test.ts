import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { build, change, ci, codes, relation, twoSites, windowsOf } from "./estate.fixture.ts";
import { layerOf } from "./layer.ts";
import { directionOf } from "./relation-type.ts";

describe("relation types", () => {
  test("each dependence is known with its mirror, whatever the case and spacing", () => {
    for (const type of ["Depends on::Used by", "Runs on::Runs", "Hosted on::Hosts", "Uses::Used by"]) {
      assert.equal(directionOf(type), "parent depends", type);
      assert.equal(directionOf(type.split("::").reverse().join("::")), "child depends", type);
    }
    assert.equal(directionOf(" depends  ON :: used by"), "parent depends");
    assert.equal(directionOf("Contained by::Contains"), "no dependency");
    assert.equal(directionOf("Depends on::Hosts"), "unknown");
    assert.equal(directionOf(""), "unknown");
  });

  test("a type that is not known is reported once with its count, and one that is no dependence is noted", () => {
    const records = twoSites({
      relations: [
        relation("app-a", "db-b", "Haunted by::Haunts", "h1"),
        relation("app-a", "sw-b", "Haunted by::Haunts", "h2"),
        relation("app-a", "sw-a", "Connects to::Connected by", "c1"),
      ],
      changes: [change("CHG1", "db-b")],
    });
    const estate = build(records);
    assert.deepEqual(windowsOf(estate, "pay-a"), []);
    assert.deepEqual(codes(estate), ["warning UNKNOWN_RELATION_TYPE", "note RELATION_NOT_FOLLOWED"]);
    assert.match(estate.findings[0]!.message, /2 relations .*"Haunted by::Haunts"/);
  });
});

describe("relations that cannot be right", () => {
  test("a database that depends on an application is reported and not turned round", () => {
    const records = twoSites({ changes: [change("CHG1", "db-b")] });
    records.relations = records.relations.map((r) =>
      r.sysId === "app-b>db-b" ? relation("db-b", "app-b", r.type, r.sysId) : r,
    );
    const estate = build(records);
    assert.deepEqual(windowsOf(estate, "pay-b"), []);
    const [finding] = estate.findings;
    assert.deepEqual([finding!.severity, finding!.code], ["error", "RELATION_REVERSED"]);
    for (const word of ["app-b>db-b", "db-b (cmdb_ci_db_instance)", "app-b (cmdb_ci_appl)"])
      assert.ok(finding!.message.includes(word), word);
    assert.equal(finding!.provenance!.table, "cmdb_rel_ci");
    assert.ok(estate.dependencies.some((d) => d.dependent === "db-b" && d.dependency === "app-b"));
  });

  test("far from every target a reversed relation is a warning", () => {
    const records = twoSites({ relations: [relation("report-db", "Report")] });
    assert.ok(codes(build(records)).includes("warning RELATION_REVERSED"));
  });

  test("the same pair in both directions: the wrong one is named where classes tell, else both", () => {
    const byClass = build(twoSites({ relations: [relation("db-b", "app-b")] }));
    assert.deepEqual(codes(byClass), ["error RELATION_REVERSED", "warning RELATION_CYCLE"]);
    const alike = build(twoSites({ relations: [relation("db-a", "db-b"), relation("db-b", "db-a")] }));
    assert.deepEqual(codes(alike), ["warning RELATION_BOTH_WAYS", "warning RELATION_CYCLE"]);
  });

  test("a circle is reported once and every member inherits", () => {
    const records = twoSites({
      relations: [relation("db-b", "sw-b"), relation("sw-b", "san-b"), relation("san-b", "db-b")],
      cis: [ci("san-b", "cmdb_ci_san")],
      changes: [change("CHG1", "san-b")],
    });
    const estate = build(records);
    assert.deepEqual(windowsOf(estate, "pay-b")[0]!.path, ["app-b", "db-b", "sw-b", "san-b"]);
    const cycles = estate.findings.filter((f) => f.code === "RELATION_CYCLE");
    assert.equal(cycles.length, 1);
    assert.match(cycles[0]!.message, /4 CIs .*: db-b, san-b, srv-db-b, sw-b/);
  });

  test("a relation to itself, to an unknown CI and a duplicate are reported and harmless", () => {
    const records = twoSites({
      relations: [
        relation("db-b", "db-b"),
        relation("db-b", "nowhere"),
        relation("db-b", "app-b", "Used by::Depends on", "twin"),
      ],
    });
    const estate = build(records);
    assert.deepEqual(codes(estate), ["warning RELATION_TO_SELF", "warning UNKNOWN_CI", "note RELATION_DUPLICATE"]);
    assert.equal(estate.dependencies.length, build(twoSites()).dependencies.length);
  });

  test("very long chains and circles do not exhaust the stack", () => {
    const length = 20_000;
    const cis = Array.from({ length }, (_, i) => ci(`n${i}`, "cmdb_ci_cluster"));
    const relations = cis.map((c, i) => relation(c.sysId, `n${(i + 1) % length}`));
    const estate = build(
      twoSites({ cis, relations: [...relations, relation("app-b", "n0")], changes: [change("CHG1", "n19999")] }),
    );
    assert.equal(windowsOf(estate, "pay-b")[0]!.path.length, length + 1);
  });
});

describe("CIs", () => {
  test("a record in the tables of its class and of the class above is one CI", () => {
    const twin = ci("db-b", "cmdb_ci_db_instance", {
      provenance: { file: "cmdb_ci.json", table: "cmdb_ci", index: 0, line: 1, sysId: "db-b" },
    });
    assert.deepEqual(codes(build(twoSites({ cis: [twin] }))), []);
  });

  test("two different records with one sys_id are reported and the last updated counts", () => {
    const records = twoSites({ cis: [ci("db-b", "cmdb_ci_db_instance", { name: "renamed", updatedMs: 7 })] });
    const estate = build(records);
    assert.equal(estate.cis.get("db-b")!.name, "renamed");
    assert.deepEqual(codes(estate), ["warning DUPLICATE_SYS_ID"]);
  });

  test("layers follow the class names of the base system", () => {
    const expected: [string, number | null][] = [
      ["cmdb_ci_service_auto", 5],
      ["cmdb_ci_appl", 4],
      ["cmdb_ci_app_server_tomcat", 4],
      ["cmdb_ci_db_mssql_instance", 3],
      ["cmdb_ci_linux_server", 2],
      ["cmdb_ci_server", 2],
      ["cmdb_ci_vm_instance", 2],
      ["cmdb_ci_ip_switch", 1],
      ["cmdb_ci_storage_device", 1],
      ["cmdb_ci_lb_bigip", null],
      ["u_something", null],
    ];
    for (const [className, layer] of expected) assert.equal(layerOf(className), layer, className);
  });
});
