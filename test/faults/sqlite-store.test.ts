import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { auditVerify } from "../../control/checkpoint/audit.ts";
import { SqliteStore } from "../../control/checkpoint/sqlite-store.ts";
import { assertKept, commitNext, writerFaults } from "./store-faults.ts";
import { WriterProcess } from "./writer-process.ts";

const folder = mkdtempSync(join(tmpdir(), "ballast-faults-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = () => join(folder, `${++files}`, "ballast.db");

writerFaults("SQLite", async () => {
  const path = newPath();
  return { description: { sqlite: path }, open: async () => SqliteStore.open({ path, busyMs: 100 }) };
});

test("SQLite: on a full disk a write is refused, nothing is half-written, and with room again it goes on", async () => {
  const path = newPath();
  await SqliteStore.open({ path }).close();
  const limit = statSync(path).size + 200_000;
  await using writer = new WriterProcess({ sqlite: path }, "writer", 60_000, { maxFileBytes: limit });
  await writer.until((said) => said.filter(({ code }) => code === "STORE_UNREADABLE").length >= 3);
  await writer.end("SIGKILL");
  assert.ok(writer.epochs.length > 0);
  assert.deepEqual(auditVerify(path).faults, []);
  const store = SqliteStore.open({ path });
  await assertKept(store, writer.epochs);
  const { term } = await store.head();
  await commitNext(store, term);
  await assertKept(store, writer.epochs);
  await store.close();
});
