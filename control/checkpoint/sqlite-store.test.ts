import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { auditVerify } from "./audit.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { storeConformance } from "./store-conformance.ts";
import { activeCheckpoint, recordSet, testRecord } from "./test-records.ts";

const folder = mkdtempSync(join(tmpdir(), "ballast-store-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = () => join(folder, `${++files}`, "ballast.db");

storeConformance("SQLite", async () => {
  const path = newPath();
  return {
    open: async (options) => SqliteStore.open({ path, watchMs: 5, ...options }),
    verify: async () => assert.deepEqual(auditVerify(path).faults, []),
  };
});

const writer = fileURLToPath(new URL("test-writer.ts", import.meta.url));
const startWriter = (path: string, holder: string, count: number) =>
  spawn(process.execPath, [writer, path, holder, `${count}`], { stdio: ["ignore", "pipe", "inherit"] });

async function filled(epochs: number): Promise<string> {
  const path = newPath();
  const store = SqliteStore.open({ path });
  for (let i = 1; i <= epochs; i++) {
    await store.reserve(i - 1, { holder: "test", term: 0 });
    const set = recordSet(i * 100_000);
    await store.commit(i - 1, activeCheckpoint(testRecord(i, i - 1, set)), set.tables);
  }
  await store.close();
  return path;
}

test("two processes that race for every epoch make one history, and no epoch is won twice", async () => {
  const path = newPath();
  await SqliteStore.open({ path }).close();
  const wins = await Promise.all(
    ["a", "b"].map(async (holder) => {
      const child = startWriter(path, holder, 25);
      const epochs: number[] = [];
      createInterface({ input: child.stdout }).on("line", (line) => epochs.push(Number(line)));
      const [code] = await once(child, "close");
      assert.equal(code, 0);
      return epochs;
    }),
  );
  const store = SqliteStore.open({ path });
  const committed = (await store.history({ kind: "checkpoint", limit: 1000 })).map((entry) => entry.body.epoch);
  assert.deepEqual(
    wins.flat().sort((a, b) => a - b),
    committed,
  );
  assert.equal(new Set(committed).size, committed.length);
  assert.equal((await store.head()).reservedEpoch >= committed.length, true);
  await store.close();
  // The audit holds every parent against the epoch before it.
  assert.deepEqual(auditVerify(path).faults, []);
});

test("after SIGKILL in the middle of writing, every epoch that was reported is there and the chain is sound", async () => {
  const path = newPath();
  const child = startWriter(path, "a", 1_000_000);
  const lines = createInterface({ input: child.stdout });
  let last = 0;
  let seen = 0;
  for await (const line of lines) {
    last = Number(line);
    if (++seen === 12) {
      child.kill("SIGKILL");
      break;
    }
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  const store = SqliteStore.open({ path });
  const head = await store.head();
  assert.ok(head.epoch >= last);
  const next = await store.reserve(head.epoch, { holder: "b", term: 0 });
  assert.ok(next > head.reservedEpoch);
  await store.close();
  assert.deepEqual(auditVerify(path).faults, []);
});

test("the file itself refuses to change or drop what was written", async () => {
  const path = await filled(2);
  const db = new DatabaseSync(path);
  for (const sql of [
    "UPDATE log SET line = 'x' WHERE seq = 1",
    "DELETE FROM log WHERE seq = 4",
    "INSERT INTO log VALUES (9, NULL, 'note', NULL, '{}', 'x')",
    "UPDATE weight_table SET bytes = x'00'",
    "DELETE FROM weight_table",
    "UPDATE head SET epoch = 1",
    "UPDATE head SET reserved = 1",
    "DELETE FROM head",
  ]) {
    assert.throws(() => db.exec(sql), /append-only|immutable|no gaps|only rises|stays/, sql);
  }
  db.close();
  assert.equal(auditVerify(path).ok, true);
});

/** Changes a store behind the triggers' back, as somebody with the file in hand could. */
function tampered(path: string, sql: string): string {
  const copy = newPath();
  SqliteStore.open({ path: copy }).close();
  copyFileSync(path, copy);
  const db = new DatabaseSync(copy);
  for (const { name } of db.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").all() as {
    name: string;
  }[]) {
    db.exec(`DROP TRIGGER ${name}`);
  }
  db.exec(sql);
  db.close();
  return copy;
}

test("the audit names what was changed, wherever it was changed", async () => {
  const path = await filled(3);
  const cases: [string, RegExp, number | null][] = [
    ["UPDATE log SET line = replace(line, 'CHG0031007', 'CHG0031008') WHERE seq = 4", /does not hash/, 4],
    ["UPDATE log SET hash = substr(hash, 2) || 'a' WHERE seq = 2", /does not hash/, 2],
    ["DELETE FROM log WHERE seq = 3", /is missing/, 3],
    ["UPDATE log SET state = 'aborted' WHERE seq = 6", /columns/, 6],
    ["UPDATE log SET epoch = 1 WHERE seq = 6", /columns/, 6],
    ["UPDATE head SET epoch = 2, seq = 4", /the head names epoch 2 at entry 4, the log 3 at 6/, null],
    ["DELETE FROM log WHERE seq = 6", /the head names epoch 3 at entry 6, the log 2 at 4/, null],
    ["UPDATE weight_table SET bytes = substr(bytes, 2) WHERE rowid_of(digest)", /weight table/, null],
    ["DELETE FROM weight_table", /is not stored/, 2],
    ["SELECT 1", /trigger log_no_delete is not as it was made/, null],
  ];
  for (const [sql, what, seq] of cases) {
    const copy = tampered(
      path,
      sql.replace("WHERE rowid_of(digest)", "WHERE digest = (SELECT min(digest) FROM weight_table)"),
    );
    const report = auditVerify(copy);
    assert.equal(report.ok, false, sql);
    assert.ok(
      report.faults.some((fault) => what.test(fault.what) && (seq === null || fault.seq === seq)),
      `${sql}: ${JSON.stringify(report.faults)}`,
    );
  }
});

/** All that is stored, or null when SQLite cannot read it. */
function content(path: string): unknown {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return ["log", "weight_table", "head", "lease", "sqlite_schema"].map((table) =>
      db.prepare(`SELECT * FROM ${table}`).all(),
    );
  } catch {
    return null;
  } finally {
    db.close();
  }
}

test("a byte flipped anywhere in the file is found, unless it changed nothing that is stored", async () => {
  const path = await filled(3);
  const bytes = readFileSync(path);
  const before = content(path);
  const copy = newPath();
  await SqliteStore.open({ path: copy }).close();
  let found = 0;
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 7 }), (at, bit) => {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= 1 << bit;
      writeFileSync(copy, flipped);
      try {
        if (!auditVerify(copy).ok) found += 1;
        else assert.deepEqual(content(copy), before);
      } catch (error) {
        assert.equal((error as { code?: string }).code, "STORE_UNREADABLE");
        found += 1;
      }
    }),
    { numRuns: 200 },
  );
  assert.ok(found > 50, `${found} of 200 found`);
});

test("a byte flipped in a record is named with its entry", async () => {
  const path = await filled(3);
  const bytes = readFileSync(path);
  const copy = newPath();
  await SqliteStore.open({ path: copy }).close();
  const named = new Set<number | null>();
  for (let at = bytes.indexOf("CHG0031007"); at >= 0; at = bytes.indexOf("CHG0031007", at + 1)) {
    const flipped = Buffer.from(bytes);
    flipped[at]! ^= 1;
    writeFileSync(copy, flipped);
    for (const fault of auditVerify(copy).faults) named.add(fault.seq);
  }
  assert.deepEqual([...named].sort(), [2, 4, 6]);
});

test("a damaged table is not served", async () => {
  const path = tampered(await filled(1), "UPDATE weight_table SET bytes = substr(bytes, 1, 100)");
  const store = SqliteStore.open({ path });
  await assert.rejects(store.tables([recordSet(100_000).tables[0]!.digest]), { code: "STORE_CORRUPT" });
  await store.close();
});

test("a file of something else is refused, not written to", () => {
  const text = newPath();
  SqliteStore.open({ path: text }).close();
  writeFileSync(text, "this is not a database, but somebody's notes ".repeat(100));
  assert.throws(() => SqliteStore.open({ path: text }), { code: "STORE_UNREADABLE" });
  const other = newPath();
  SqliteStore.open({ path: other }).close();
  rmSync(other);
  const db = new DatabaseSync(other);
  db.exec("CREATE TABLE theirs (x)");
  db.close();
  assert.throws(() => SqliteStore.open({ path: other }), { code: "STORE_UNREADABLE" });
  assert.throws(() => auditVerify(other), { code: "STORE_UNREADABLE" });
  assert.throws(() => SqliteStore.open({ path: join(text, "below-a-file.db") }), { code: "STORE_UNREADABLE" });
});
