import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { auditVerify } from "../audit.ts";
import { SqliteStore } from "../sqlite-store.ts";
import { contentionConformance } from "./contention.ts";

const folder = mkdtempSync(join(tmpdir(), "ballast-conformance-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;

contentionConformance("SQLite", 20, async () => {
  const path = join(folder, `${++files}.db`);
  return {
    open: async (options) => SqliteStore.open({ path, watchMs: 5, ...options }),
    verify: async () => assert.deepEqual(auditVerify(path).faults, []),
  };
});
