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
import { auditLog } from "./audit-log.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { LEADER_LEASE } from "./store.ts";
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
  await store.lease(LEADER_LEASE, { holder: "test:18001", ttlMs: 10_000 });
  for (let i = 1; i <= epochs; i++) {
    await store.reserve(i - 1, { holder: "test", term: 1 });
    const set = recordSet(i * 100_000);
    await store.commit(i - 1, activeCheckpoint(testRecord(i, i - 1, set, 1)), set.tables);
  }
  await store.keep("capacity/payments", '{"layout":1}', { term: 1 });
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
    ["UPDATE lease SET holder = 'mallory'", /lease leader: its fields do not make its sum/, null],
    ["UPDATE keepsake SET term = 9", /keepsake capacity\/payments: its text does not make its sum/, null],
    ["UPDATE lease SET token = 0", /the leader's lease has token 0, the log term 1/, null],
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
    return ["log", "weight_table", "head", "lease", "keepsake", "sqlite_schema"].map((table) =>
      db.prepare(`SELECT * FROM ${table}`).all(),
    );
  } catch {
    return null;
  } finally {
    db.close();
  }
}

/** BALLAST_AUDIT_EVERY_BYTE=1 flips every byte instead of a sample of 200. */
const everyByte = process.env.BALLAST_AUDIT_EVERY_BYTE === "1";

test("a byte flipped anywhere in the file is found, unless it changed nothing that is stored", async (t) => {
  const path = await filled(3);
  const bytes = readFileSync(path);
  const before = content(path);
  const copy = newPath();
  await SqliteStore.open({ path: copy }).close();
  let found = 0;
  const flip = (at: number, by: number) => {
    const flipped = Buffer.from(bytes);
    flipped[at]! ^= by;
    writeFileSync(copy, flipped);
    try {
      if (!auditVerify(copy).ok) found += 1;
      else assert.deepEqual(content(copy), before, `byte ${at} ^ ${by}`);
    } catch (error) {
      assert.equal((error as { code?: string }).code, "STORE_UNREADABLE", `byte ${at} ^ ${by}`);
      found += 1;
    }
  };
  if (everyByte) for (let at = 0; at < bytes.length; at++) flip(at, 1 + ((at * 7919) % 255));
  else fc.assert(fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), flip), { numRuns: 200 });
  t.diagnostic(`${found} of ${everyByte ? bytes.length : 200} changed something that is stored, and were found`);
  assert.ok(found > 50, `${found} found`);
});

test("a byte flipped in the text of any entry, wherever in it, is named with that entry", async () => {
  const path = await filled(3);
  const bytes = readFileSync(path);
  const copy = newPath();
  await SqliteStore.open({ path: copy }).close();
  const before = content(path);
  const db = new DatabaseSync(path, { readOnly: true });
  const rows = db.prepare("SELECT seq, line, hash FROM log").all() as { seq: number; line: string; hash: string }[];
  db.close();
  const name = (seq: number, text: string, at: number, by: number) => {
    // The text may stand in the file more than once: in an index, in the entry that continues it, in pages that SQLite left.
    const named: boolean[] = [];
    for (let start = bytes.indexOf(text); start >= 0; start = bytes.indexOf(text, start + 1)) {
      const flipped = Buffer.from(bytes);
      flipped[start + at]! ^= by;
      writeFileSync(copy, flipped);
      const { ok, faults } = auditVerify(copy);
      if (ok) assert.deepEqual(content(copy), before);
      else named.push(faults.some((fault) => fault.seq === seq));
    }
    assert.ok(named.includes(true), `entry ${seq} byte ${at} ^ ${by}: ${named}`);
  };
  const places = rows.flatMap(({ seq, line, hash }) => [
    { seq, text: line.slice(0, 300) },
    { seq, text: hash },
  ]);
  if (everyByte) for (const { seq, text } of places) for (let at = 0; at < text.length; at++) name(seq, text, at, 1);
  else {
    const place = fc.constantFrom(...places);
    const run = fc.property(place, fc.nat(), fc.integer({ min: 1, max: 255 }), ({ seq, text }, at, by) =>
      name(seq, text, at % text.length, by),
    );
    fc.assert(run, { numRuns: 100 });
  }
});

test("a log whose newest entries are gone looks sound, and is found by what was written down of it", async () => {
  const path = await filled(3);
  const { entries: seq, tip: hash } = auditVerify(path);
  assert.deepEqual(auditVerify(path, { seq, hash }).faults, []);
  // Later entries change nothing about an anchor.
  const store = SqliteStore.open({ path });
  const copies = [newPath(), newPath()] as const;
  await Promise.all(copies.map((copy) => SqliteStore.open({ path: copy }).close()));
  await store.append({ kind: "note", epoch: null, topic: "later", detail: null }, { term: 1 });
  assert.deepEqual(auditVerify(path, { seq, hash }).faults, []);
  assert.deepEqual((await auditLog(store, { seq, hash })).faults, []);
  const tip = (await store.head()).tip;
  // The newest entry is in the write-ahead log only: a byte of that lost, and SQLite takes the commit for one that never was.
  const wal = readFileSync(`${path}-wal`);
  copyFileSync(path, copies[0]);
  wal[wal.length - 1]! ^= 1;
  writeFileSync(`${copies[0]}-wal`, wal);
  await store.close();
  const cut = auditVerify(copies[0]);
  assert.deepEqual([cut.ok, cut.entries], [true, seq]);
  assert.match(
    auditVerify(copies[0], tip).faults[0]?.what ?? "",
    /ends at entry \d+, the anchor names \d+: its end is missing/,
  );
  // A log made anew has other hashes.
  copyFileSync(await filled(4), copies[1]);
  assert.deepEqual(auditVerify(copies[1], { seq: 2, hash: "0".repeat(64) }).faults[0]?.seq, 2);
});

test("a store of an earlier layout is brought up to this one when it is opened, with its leases", async () => {
  for (const layout of [1, 2]) {
    const path = await filled(2);
    const db = new DatabaseSync(path);
    db.exec("DROP TABLE keepsake");
    if (layout === 1)
      db.exec(`
        DROP TRIGGER lease_only_rises; DROP TRIGGER lease_no_delete; ALTER TABLE lease DROP COLUMN sum;
        CREATE TRIGGER lease_only_rises BEFORE UPDATE ON lease WHEN NEW.token < OLD.token BEGIN SELECT raise(ABORT, 'x'); END;
        CREATE TRIGGER lease_no_delete BEFORE DELETE ON lease BEGIN SELECT raise(ABORT, 'x'); END;`);
    db.exec(`PRAGMA user_version = ${layout}`);
    db.close();
    const store = SqliteStore.open({ path });
    assert.equal((await store.head()).term, 1);
    await store.keep("capacity/payments", "{}", { term: 1 });
    await store.close();
    assert.deepEqual(auditVerify(path).faults, []);
  }
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
