import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ConfigError, formatProblem } from "../config/config-error.ts";
import type { EstateRecords, Reference } from "../ingest/records.ts";
import { build, change, ci, codes, incident, relation, taskCi, twoSites, windowsOf, YAML } from "./estate.fixture.ts";
import type { Estate } from "./estate.ts";

function problemsOf(records: EstateRecords, yaml: string): string[] {
  try {
    build(records, yaml);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(formatProblem);
  }
  return [];
}

function capacityOf(estate: Estate, target: string): [number, string] {
  const found = estate.services.get("pay")!.targets.find((t) => t.name === target)!;
  return [found.capacityRps, found.capacitySource];
}

describe("binding", () => {
  test("a name that no CI carries gives the line of ballast.yaml and the nearest names, all at once", () => {
    const yaml = YAML.replace("ci: app-a", "ci: ap-a").replace("ci: app-b", "ci: zzzzzzzzz");
    const problems = problemsOf(twoSites(), yaml);
    assert.equal(problems.length, 2);
    assert.match(
      problems[0]!,
      /^ballast\.yaml:9:20 \(services\.pay\.targets\.pay-a\.ci\): found "ap-a", which no CI of export is called, expected .*app-a/,
    );
    assert.match(problems[1]!, /^ballast\.yaml:10:20 .*expected the name or sys_id of a CI$/);
  });

  test("a sys_id binds as well as a name", () => {
    const records = twoSites({
      cis: [ci("0123abcd", "cmdb_ci_appl", { name: "Front door" })],
      relations: [relation("Pay", "0123abcd")],
    });
    for (const name of ["0123abcd", "Front door"]) {
      assert.equal(
        build(records, YAML.replace("ci: app-a", `ci: ${name}`)).services.get("pay")!.targets[0]!.ciId,
        "0123abcd",
      );
    }
  });

  test("a name of several CIs is refused with the candidates, unless all but one are retired", () => {
    const twin = ci("twin", "cmdb_ci_appl", { name: "app-b" });
    assert.match(problemsOf(twoSites({ cis: [twin] }), YAML.replace("ci: app-b", "ci: app-b"))[0] ?? "none", /none/);
    const named = twoSites({
      cis: [ci("x1", "cmdb_ci_appl", { name: "App" }), ci("x2", "cmdb_ci_server", { name: "App" })],
    });
    const [problem] = problemsOf(named, YAML.replace("ci: app-b", "ci: App"));
    assert.match(
      problem!,
      /found "App", a name of 2 CIs, expected one of their sys_ids: x1 \(cmdb_ci_appl\), x2 \(cmdb_ci_server\)/,
    );
    named.cis = named.cis.map((c) => (c.sysId === "x2" ? { ...c, lifecycle: "retired" } : c));
    const estate = build(named, YAML.replace("ci: app-b", "ci: App"));
    assert.equal(estate.services.get("pay")!.targets[1]!.ciId, "x1");
    assert.ok(codes(estate).includes("note NAME_SHARED_WITH_RETIRED"));
  });

  test("a retired CI carries no target", () => {
    const records = twoSites();
    records.cis = records.cis.map((c) => (c.sysId === "app-b" ? { ...c, lifecycle: "retired" } : c));
    assert.match(problemsOf(records, YAML)[0]!, /found "app-b", a retired CI/);
  });

  test("two targets of one service on one CI are pointed out", () => {
    const estate = build(twoSites(), YAML.replace("ci: app-b", "ci: app-a"));
    const [shared, ...others] = estate.findings.filter((finding) => finding.code === "CI_SHARED");
    assert.deepEqual([shared?.severity, others], ["warning", []]);
    assert.match(shared!.message, /^pay-a, pay-b of the service pay are all bound to app-a/);
    assert.ok(!codes(build(twoSites())).includes("warning CI_SHARED"));
  });

  test("a target that its service does not depend on is pointed out", () => {
    const estate = build(twoSites(), YAML.replace("ci: Pay", "ci: Report"));
    assert.deepEqual(codes(estate), ["warning TARGET_UNRELATED", "warning TARGET_UNRELATED"]);
  });
});

describe("capacity", () => {
  test("is the sum over the servers a target runs on, by cores and clock speed", () => {
    const records = twoSites();
    records.cis = records.cis.map((c) => (c.sysId === "srv-b2" ? { ...c, cpuSpeedMhz: 5000 } : c));
    const estate = build(records);
    assert.deepEqual(capacityOf(estate, "pay-a"), [
      160,
      "srv-a1 (8 cores, 2500 MHz) + srv-a2 (8 cores, 2500 MHz) × 10 rps per core at 2500 MHz",
    ]);
    assert.equal(capacityOf(estate, "pay-b")[0], 4 * 10 + 4 * 10 * 2);
  });

  test("a machine's host does not count where the machine's own cores are known", () => {
    const records = twoSites({
      cis: [ci("esx", "cmdb_ci_esx_server", { cpuCores: 64 })],
      relations: [relation("srv-a1", "esx", "Virtualized by::Virtualizes")],
    });
    assert.equal(capacityOf(build(records), "pay-a")[0], 160);
  });

  test("software between application and server is passed through", () => {
    const records = twoSites({
      cis: [ci("tomcat", "cmdb_ci_app_server_tomcat")],
      relations: [relation("tomcat", "srv-b1", "Runs on::Runs")],
    });
    records.relations = records.relations.map((r) =>
      r.sysId === "app-b>srv-b1" ? relation("app-b", "tomcat", "Runs on::Runs") : r,
    );
    assert.equal(capacityOf(build(records), "pay-b")[0], 80);
  });

  test("missing facts are assumed and reported", () => {
    const records = twoSites();
    records.cis = records.cis.map((c) => {
      const { cpuCores: _, cpuSpeedMhz: __, ...bare } = c;
      return c.sysId === "srv-a1" ? bare : c;
    });
    records.relations = records.relations.filter((r) => !r.sysId.startsWith("app-b>srv"));
    const estate = build(records);
    assert.deepEqual(capacityOf(estate, "pay-a"), [
      120,
      "srv-a1 (4 cores assumed, clock speed unknown) + srv-a2 (8 cores, 2500 MHz) × 10 rps per core at 2500 MHz",
    ]);
    assert.equal(capacityOf(estate, "pay-b")[0], 40);
    assert.deepEqual(codes(estate), ["warning CAPACITY_ASSUMED", "warning CAPACITY_ASSUMED"]);
  });

  test("a server out of operation is not counted, one that carries two targets is pointed out", () => {
    const records = twoSites({ relations: [relation("app-a", "srv-b1", "Runs on::Runs")] });
    records.cis = records.cis.map((c) => (c.sysId === "srv-a1" ? { ...c, lifecycle: "not_operational" } : c));
    const estate = build(records);
    assert.equal(capacityOf(estate, "pay-a")[0], 120);
    assert.deepEqual(
      [...new Set(codes(estate))],
      ["warning HOST_NOT_OPERATIONAL", "warning HOST_SHARED", "warning NOT_OPERATIONAL"],
    );
  });

  test("a measured capacity in ballast.yaml replaces the computed one", () => {
    const yaml = YAML.replace("{ ci: app-a, base: 60% }", "{ ci: app-a, base: 60%, capacityRps: 77.5 }");
    assert.deepEqual(capacityOf(build(twoSites(), yaml), "pay-a"), [77.5, "capacityRps in ballast.yaml"]);
  });
});

/** An estate with dirt of every kind, so that the properties below cover the reports as well. */
function dirty(): EstateRecords {
  return twoSites({
    cis: [
      ci("db-b", "cmdb_ci_db_instance", { updatedMs: 3 }),
      ci("db-b", "cmdb_ci_db_instance", { cpuCores: 2, updatedMs: 3 }),
    ],
    relations: [
      relation("db-b", "app-b"),
      relation("db-a", "db-b"),
      relation("db-b", "db-a"),
      relation("app-a", "db-a", "Depends on::Used by", "copy"),
      relation("db-a", "app-a", "Used by::Depends on", "another copy"),
      relation("app-a", "sw-a", "Haunted by::Haunts"),
      relation("app-a", "gone"),
    ],
    changes: [
      change("CHG1", "db-b"),
      change("CHG1", "db-b", { updatedMs: 4, onHold: true }),
      change("CHG2", "srv-db-a"),
      change("CHG3", "sw-b", { plannedEndMs: 0 }),
      change("CHG4", "gone"),
      change("CHG5", ""),
    ],
    incidents: [incident("INC1", "sw-a", { priority: 2 }), incident("INC2", "report-db")],
    taskCis: [taskCi("CHG2", "db-b"), taskCi("CHG2", "db-a"), taskCi("X", "db-a")],
  });
}

/** Everything but provenance, which tells where a record lay. */
function content(estate: Estate): unknown {
  const plain = { ...estate, cis: [...estate.cis], services: [...estate.services] };
  return JSON.parse(JSON.stringify(plain, (key, value) => (key === "provenance" ? value.sysId : value)));
}

test("the order of records changes nothing", () => {
  const expected = content(build(dirty()));
  const records = dirty();
  const shuffled = <T>(items: T[]): fc.Arbitrary<T[]> => fc.shuffledSubarray(items, { minLength: items.length });
  const arbitrary = fc.record({
    source: fc.constant("export"),
    cis: shuffled(records.cis),
    relations: shuffled(records.relations),
    changes: shuffled(records.changes),
    incidents: shuffled(records.incidents),
    taskCis: shuffled(records.taskCis),
    findings: fc.constant<EstateRecords["findings"]>([]),
  });
  fc.assert(
    fc.property(arbitrary, (shuffledRecords) => assert.deepEqual(content(build(shuffledRecords)), expected)),
    { numRuns: 50 },
  );
});

test("renaming every CI changes names and nothing else", () => {
  const before = build(dirty());
  fc.assert(
    fc.property(fc.stringMatching(/^[A-Za-z0-9 _-]{1,12}$/), (suffix) => {
      const rename = (name: string): string => `${name}!${suffix}`;
      const reference = (r: Reference): Reference => ({ ...r, display: r.display && rename(r.display) });
      const records = dirty();
      const after = build(
        {
          ...records,
          cis: records.cis.map((c) => ({ ...c, name: rename(c.name) })),
          relations: records.relations.map((r) => ({ ...r, parent: reference(r.parent), child: reference(r.child) })),
        },
        YAML, // bound by sys_id: in the fixtures those are the old names
      );
      for (const target of ["pay-a", "pay-b"]) {
        assert.deepEqual(
          windowsOf(after, target).map((w) => ({ ...w, ciName: "", path: w.path.length })),
          windowsOf(before, target).map((w) => ({ ...w, ciName: "", path: w.path.length })),
        );
        assert.deepEqual(
          windowsOf(after, target).map((w) => w.path),
          windowsOf(before, target).map((w) => w.path.map(rename)),
        );
        assert.equal(capacityOf(after, target)[0], capacityOf(before, target)[0]);
      }
      assert.deepEqual(codes(after).sort(), codes(before).sort());
      assert.deepEqual(after.dependencies, before.dependencies);
      assert.notEqual(after.digest, before.digest);
    }),
    { numRuns: 30 },
  );
});

test("the digest names the content: it ignores time, files and lines and notices every fact", () => {
  const base = build(twoSites({ changes: [change("CHG1", "db-b")] }));
  assert.match(base.digest, /^[0-9a-f]{16}$/);
  const moved = twoSites({ changes: [change("CHG1", "db-b")] });
  for (const record of [...moved.cis, ...moved.changes])
    record.provenance = { ...record.provenance, file: "elsewhere", line: 99 };
  assert.equal(build(moved).digest, base.digest);
  const others = [
    build(twoSites()),
    build(twoSites({ changes: [change("CHG2", "db-b")] })),
    build(twoSites({ changes: [change("CHG1", "db-b", { plannedEndMs: 2e12 })] })),
    build(twoSites({ changes: [change("CHG1", "db-b")], cis: [ci("new", "cmdb_ci_server")] })),
    build(twoSites({ changes: [change("CHG1", "db-b")], relations: [relation("app-a", "sw-a")] })),
  ];
  assert.equal(new Set([base, ...others].map((estate) => estate.digest)).size, others.length + 1);
});
