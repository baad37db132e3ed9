import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { BallastError } from "../../common/errors.ts";
import type { EstateRecords } from "./records.ts";
import { readServiceNow, type ServiceNowOptions } from "./servicenow.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ballast-ingest-"));
});
after(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  await rm(folder, { recursive: true });
  folder = await mkdtemp(join(tmpdir(), "ballast-ingest-"));
});

const id = (n: number): string => n.toString(16).padStart(32, "0");
const link = (table: string, n: number): unknown => ({
  link: `https://x.example/api/now/table/${table}/${id(n)}`,
  value: id(n),
});

/** Writes tables (records, or the text of a whole file) and reads them; absent tables are empty. */
async function read(tables: Record<string, unknown[] | string>, options?: ServiceNowOptions): Promise<EstateRecords> {
  const all = { cmdb_ci_server: [], cmdb_rel_ci: [], change_request: [], incident: [], task_ci: [], ...tables };
  for (const [table, rows] of Object.entries(all)) {
    const text =
      typeof rows === "string" ? rows : `{"result":[\n${rows.map((row) => JSON.stringify(row)).join(",\n")}\n]}`;
    await writeFile(join(folder, `${table}.json`), text);
  }
  return readServiceNow(folder, options);
}

async function codes(tables: Record<string, unknown[] | string>): Promise<string[]> {
  return (await read(tables)).findings.map((finding) => `${finding.severity} ${finding.code}`);
}

describe("records are typed and keep their origin", () => {
  test("a server's cores are processors times cores of each", async () => {
    const row = { sys_id: id(1), name: "srv", cpu_count: "2", cpu_core_count: "8", cpu_speed: "2,500", ram: "65536" };
    const { cis, findings } = await read({ cmdb_ci_server: [{ sys_id: id(9), name: "other" }, row] });
    assert.deepEqual(findings, []);
    const { provenance, ...ci } = cis[1]!;
    assert.deepEqual(ci, {
      kind: "ci",
      sysId: id(1),
      name: "srv",
      className: "cmdb_ci_server",
      lifecycle: "operational",
      cpuCores: 16,
      cpuSpeedMhz: 2500,
      ramMb: 65_536,
      updatedMs: null,
    });
    assert.deepEqual(provenance, {
      file: join(folder, "cmdb_ci_server.json"),
      table: "cmdb_ci_server",
      index: 1,
      line: 3,
      sysId: id(1),
    });
  });

  test("every cmdb_ci file is read, and sys_class_name wins over the file's table", async () => {
    const { cis } = await read({
      cmdb_ci_server: [{ sys_id: id(1), name: "db", sys_class_name: "cmdb_ci_db_mysql_instance" }],
      cmdb_ci_appl: [{ sys_id: id(2), name: "app" }],
    });
    assert.deepEqual(cis.map((ci) => [ci.name, ci.className]).sort(), [
      ["app", "cmdb_ci_appl"],
      ["db", "cmdb_ci_db_mysql_instance"],
    ]);
  });

  test("references are understood in each spelling of the Table API", async () => {
    const spellings = [
      link("cmdb_ci", 7),
      { display_value: "db", link: `https://x.example/api/now/table/cmdb_ci/${id(7)}`, value: id(7) },
      { display_value: "db", link: `https://x.example/api/now/table/cmdb_ci/${id(7)}` },
      id(7),
    ];
    const { relations } = await read({
      cmdb_rel_ci: spellings.map((parent, i) => ({ sys_id: id(i), parent, child: "db", type: "Depends on::Used by" })),
    });
    assert.deepEqual(
      relations.map((r) => r.parent.sysId),
      [id(7), id(7), id(7), id(7)],
    );
    assert.deepEqual(relations[0]!.child, { sysId: "db", display: "db" });
  });

  test("a relation's type comes by name, from cmdb_rel_type, or by the base system's sys_id", async () => {
    const ends = { parent: id(1), child: id(2) };
    const { relations } = await read({
      cmdb_rel_type: [{ sys_id: id(50), name: "Runs on::Runs" }],
      cmdb_rel_ci: [
        { sys_id: id(1), ...ends, type: { display_value: "Uses::Used by", value: id(99) } },
        { sys_id: id(2), ...ends, type: { link: "", value: id(50) } },
        { sys_id: id(3), ...ends, type: "1a9cb166f1571100a92eb60da2bce5c5" },
        { sys_id: id(4), ...ends, type: { link: "", value: id(98) } },
      ],
    });
    assert.deepEqual(
      relations.map((r) => r.type),
      ["Uses::Used by", "Runs on::Runs", "Depends on::Used by", ""],
    );
  });

  test("codes and labels of states mean the same, and times are UTC", async () => {
    const base = {
      approval: "Approved",
      start_date: "2026-03-02 09:00:00",
      end_date: "2026-03-02 11:30:00",
      cmdb_ci: id(1),
    };
    const { changes, findings } = await read({
      change_request: [
        { sys_id: id(1), number: "CHG1", state: "-2", ...base },
        { sys_id: id(2), number: "CHG2", state: { display_value: "Scheduled", value: "-2" }, ...base },
        { sys_id: id(3), number: "CHG3", state: "Scheduled", on_hold: "true", ...base },
      ],
    });
    assert.deepEqual(findings, []);
    assert.deepEqual(
      changes.map((c) => [c.state, c.approval, c.onHold, c.plannedStartMs]),
      [
        ["scheduled", "approved", false, Date.UTC(2026, 2, 2, 9)],
        ["scheduled", "approved", false, Date.UTC(2026, 2, 2, 9)],
        ["scheduled", "approved", true, Date.UTC(2026, 2, 2, 9)],
      ],
    );
  });

  test("what a change's form says of its risk is read with codes or labels, and nothing with it that is written after its start", async () => {
    const base = { state: "-2", approval: "approved", close_code: "unsuccessful", work_notes: "rolled back" };
    const { changes } = await read({
      change_request: [
        {
          sys_id: id(1),
          number: "CHG1",
          ...base,
          type: "Emergency",
          risk: "2",
          impact: "1 - High",
          assignment_group: "DBA",
        },
        {
          sys_id: id(2),
          number: "CHG2",
          ...base,
          type: "standard",
          risk: "Low",
          sys_created_on: "2026-03-01 09:00:00",
        },
        { sys_id: id(3), number: "CHG3", ...base, type: "huge", risk: "99", impact: "12" },
      ],
    });
    const createdMs = Date.UTC(2026, 2, 1, 9);
    assert.deepEqual(
      changes.map(({ plan }) => plan),
      [
        { type: "emergency", riskLevel: 3, impact: 1, createdMs: null, group: "DBA" },
        { type: "standard", riskLevel: 1, impact: null, createdMs, group: "" },
        { type: "unknown", riskLevel: null, impact: null, createdMs: null, group: "" },
      ],
    );
    // How it was closed stands apart, where no feature looks; the rest is not read at all.
    assert.deepEqual(new Set(changes.map(({ closed }) => closed)), new Set(["unsuccessful"]));
    assert.doesNotMatch(JSON.stringify(changes.map(({ closed: _, ...rest }) => rest)), /unsuccessful|rolled back/);
  });

  test("pages of one table are read in turn, and an unused table is noted", async () => {
    const { incidents, findings } = await read({
      "incident.1": [{ sys_id: id(1), number: "INC1", state: "2", priority: "1 - Critical", cmdb_ci: id(1) }],
      "incident.2": [{ sys_id: id(2), number: "INC2", state: "7", priority: "4", cmdb_ci: id(1) }],
      sys_user: [{ sys_id: id(3) }],
    });
    assert.deepEqual(
      incidents.map((i) => [i.number, i.priority, i.state]),
      [
        ["INC1", 1, "in progress"],
        ["INC2", 4, "closed"],
      ],
    );
    assert.deepEqual(
      findings.map((f) => f.code),
      ["TABLE_NOT_READ"],
    );
  });
});

describe("each bad record is a finding and the others are read", () => {
  test("blank sys_id", async () => {
    const { cis, findings } = await read({
      cmdb_ci_server: [
        { sys_id: "", name: "ghost" },
        { sys_id: id(1), name: "srv" },
      ],
    });
    assert.deepEqual(
      cis.map((ci) => ci.name),
      ["srv"],
    );
    assert.equal(findings[0]!.code, "BLANK_SYS_ID");
    assert.match(findings[0]!.message, /ghost/);
    assert.equal(findings[0]!.provenance!.line, 2);
  });

  test("a time that does not exist is grave on a live change and minor on a closed one", async () => {
    const at = { end_date: "2026-02-30 10:00:00", approval: "approved", cmdb_ci: id(1) };
    assert.deepEqual(await codes({ change_request: [{ sys_id: id(1), number: "C", state: "-2", ...at }] }), [
      "error BAD_TIME",
    ]);
    assert.deepEqual(await codes({ change_request: [{ sys_id: id(1), number: "C", state: "3", ...at }] }), [
      "warning BAD_TIME",
    ]);
  });

  test("unknown states, bad numbers and blank names", async () => {
    assert.deepEqual(
      await codes({ change_request: [{ sys_id: id(1), number: "C", state: "17", approval: "approved" }] }),
      ["error UNKNOWN_STATE"],
    );
    assert.deepEqual(
      await codes({ change_request: [{ sys_id: id(1), number: "C", state: "-2", approval: "perhaps" }] }),
      ["error UNKNOWN_STATE"],
    );
    assert.deepEqual(await codes({ incident: [{ sys_id: id(1), number: "I", state: "99", priority: "1" }] }), [
      "error UNKNOWN_STATE",
    ]);
    for (const cpu_count of ["-2", "many", "NaN", "1e9", "0x10"]) {
      assert.deepEqual(
        await codes({ cmdb_ci_server: [{ sys_id: id(1), name: "s", cpu_count }] }),
        ["warning BAD_NUMBER"],
        cpu_count,
      );
    }
    assert.deepEqual(await codes({ cmdb_ci_server: [{ sys_id: id(1), name: "" }] }), ["warning BLANK_NAME"]);
    assert.deepEqual(await codes({ cmdb_ci_server: [{ sys_id: id(1), name: "s", operational_status: "42" }] }), [
      "warning UNKNOWN_STATE",
    ]);
  });

  test("an entry that is no JSON or no object", async () => {
    const text = `{"result":[\n{"sys_id":"${id(1)}","name":"a"},\n{"sys_id":tru},\n7,\n{"sys_id":"${id(2)}","name":"b"}\n]}`;
    const { cis, findings } = await read({ cmdb_ci_server: text });
    assert.deepEqual(
      cis.map((ci) => ci.name),
      ["a", "b"],
    );
    assert.deepEqual(
      findings.map((f) => [f.code, f.provenance!.line]),
      [
        ["BAD_RECORD", 3],
        ["BAD_RECORD", 4],
      ],
    );
  });

  test("missing tables are named", async () => {
    await writeFile(join(folder, "cmdb_ci_server.json"), '{"result":[]}');
    const { findings } = await readServiceNow(folder);
    assert.equal(findings.filter((f) => f.code === "TABLE_MISSING").length, 4);
  });
});

describe("hostile input does no harm", () => {
  test("__proto__, constructor and the like are only fields", async () => {
    const text = `{"result":[{"__proto__":{"name":"evil","sys_id":"x"},"constructor":{"value":"y"},"sys_id":"${id(1)}","name":{"__proto__":{"value":"evil"}}}]}`;
    const { cis } = await read({ cmdb_ci_server: text });
    assert.equal(cis[0]!.sysId, id(1));
    assert.notEqual(cis[0]!.name, "evil");
    assert.equal(({} as { name?: string }).name, undefined);
  });

  test("control characters that could forge lines or colours are replaced", async () => {
    const { cis, findings } = await read({ cmdb_ci_server: [{ sys_id: id(1), name: "a\u001b[31mb\nc" }] });
    assert.equal(cis[0]!.name, "a\ufffd[31mb\ufffdc");
    assert.deepEqual(
      findings.map((f) => f.code),
      ["BAD_FIELD"],
    );
  });

  test("very long text is cut, very long records are refused", async () => {
    const { cis, findings } = await read({
      cmdb_ci_server: [
        { sys_id: id(1), name: "n".repeat(5000) },
        { sys_id: id(2), name: "m".repeat(300_000) },
      ],
    });
    assert.deepEqual(
      cis.map((ci) => ci.name.length),
      [1024],
    );
    assert.deepEqual(
      findings.map((f) => f.code),
      ["BAD_FIELD", "BAD_RECORD"],
    );
  });

  test("findings are bounded and the surplus is counted", async () => {
    const rows = Array.from({ length: 20 }, () => ({ sys_id: "" }));
    const { findings } = await read({ cmdb_ci_server: rows }, { maxFindings: 5 });
    assert.equal(findings.length, 6);
    assert.match(findings.at(-1)!.message, /15 further findings/);
  });

  test("an export beyond a bound, broken off, or not UTF-8 is refused as a whole", async () => {
    const refused = (message: RegExp) => (error: unknown) =>
      error instanceof BallastError && error.code === "ESTATE_UNREADABLE" && message.test(error.message);
    const rows = [1, 2, 3].map((n) => ({ sys_id: id(n), name: "s" }));
    await assert.rejects(read({ cmdb_ci_server: rows }, { maxRecords: 2 }), refused(/more than 2 records/));
    await assert.rejects(read({ cmdb_ci_server: rows }, { maxFileBytes: 10 }), refused(/at most 10/));
    await assert.rejects(
      read({ cmdb_ci_server: '{"result":[\n{"sys_id":"1"' }),
      refused(/cmdb_ci_server\.json:2:\d+: the file breaks off/),
    );
    await assert.rejects(read({ cmdb_ci_server: "" }), refused(/no list `result`/));
    await writeFile(join(folder, "cmdb_ci_server.json"), Buffer.from([0x7b, 0xff, 0xfe]));
    await assert.rejects(readServiceNow(folder), refused(/not UTF-8/));
    await assert.rejects(readServiceNow(join(folder, "nowhere")), refused(/ENOENT/));
  });

  test("a folder without any CI table is refused", async () => {
    await writeFile(join(folder, "incident.json"), '{"result":[]}');
    await assert.rejects(readServiceNow(folder), /ESTATE_UNREADABLE: .*no CI table/);
  });
});
