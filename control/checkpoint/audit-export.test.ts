import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { auditExport, exportLog } from "./audit-export.ts";
import { GENESIS, seal } from "./chain.ts";
import { lastMove, move } from "./moves.ts";
import { SqliteStore } from "./sqlite-store.ts";
import { activeCheckpoint, recordSet, testRecord } from "./test-records.ts";

/** BALLAST_AUDIT_EVERY_BYTE=1 changes every byte instead of a sample. */
const everyByte = process.env.BALLAST_AUDIT_EVERY_BYTE === "1";
const folder = mkdtempSync(join(tmpdir(), "ballast-export-"));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, "log.jsonl");

const exported = await (async (): Promise<Buffer> => {
  const store = SqliteStore.open({ path: join(folder, "ballast.db") });
  for (let i = 1; i <= 3; i++) {
    await store.reserve(i - 1, { holder: "test", term: 0 });
    const set = recordSet(i * 100_000);
    const active = activeCheckpoint(testRecord(i, i - 1, set));
    await store.commit(i - 1, active, set.tables);
    const baked = move(active, "bake", { text: "no breach" }, i);
    await store.append({ kind: "move", epoch: i, move: lastMove(baked) }, { term: 0 });
  }
  // Ends of lines for JavaScript and for readline, and none in JSON.
  const detail = "a reason\u2028of two\u2029lines, ü 漢";
  await store.append({ kind: "note", epoch: null, topic: "test", detail }, { term: 0 });
  const lines: string[] = [];
  for await (const line of exportLog(store)) lines.push(`${line}\n`);
  await store.close();
  return Buffer.from(lines.join(""));
})();
const lines = exported.toString().trimEnd().split("\n");

async function audit(
  text: Buffer | string,
  ...rest: Parameters<typeof auditExport> extends [string, ...infer R] ? R : never
) {
  writeFileSync(file, text);
  return auditExport(file, ...rest);
}

test("a whole export is sound, by itself", async () => {
  const report = await audit(exported);
  assert.deepEqual([report.ok, report.entries, report.faults], [true, 10, []]);
  assert.equal((await audit(exported, { seq: report.entries, hash: report.tip })).ok, true);
});

test("a byte changed anywhere, into any other, is found and its entry named", async () => {
  const starts: number[] = [];
  for (let at = 0; at >= 0 && at < exported.length; at = exported.indexOf(0x0a, at) + 1) {
    starts.push(at);
    if (exported.indexOf(0x0a, at) < 0) break;
  }
  const change = async (at: number, by: number) => {
    const changed = Buffer.from(exported);
    changed[at]! ^= by;
    const { ok, faults } = await audit(changed);
    if (at === exported.length - 1) {
      // The newline behind the last line ends nothing: what stands in its place is told as part of that line.
      assert.equal(ok, false);
      return;
    }
    const entry = starts.findLastIndex((start) => start <= at) + 1;
    assert.equal(faults[0]?.seq, entry, `byte ${at} ^ ${by}: ${JSON.stringify(faults)}`);
  };
  if (everyByte) for (let at = 0; at < exported.length; at++) await change(at, 1 + ((at * 7919) % 255));
  else {
    const newlines = starts.slice(1).map((start) => start - 1);
    for (const at of newlines) await change(at, 0x0a ^ 0x0d);
    const run = fc.asyncProperty(fc.nat(exported.length - 1), fc.integer({ min: 1, max: 255 }), change);
    await fc.assert(run, { numRuns: 300 });
  }
});

test("whatever is cut off at the end is missed", async () => {
  for (const keep of [0, 1, 5, lines.length - 1]) {
    const report = await audit(
      lines
        .slice(0, keep)
        .map((line) => `${line}\n`)
        .join(""),
    );
    assert.deepEqual([report.ok, report.entries], [false, keep]);
    assert.match(report.faults[0]?.what ?? "", /without its last line/);
  }
  // An end that was made to fit the shorter log is found by what was written down elsewhere.
  const five = await audit(lines.slice(0, 5).join("\n"));
  const forged = `${lines.slice(0, 5).join("\n")}\n${JSON.stringify({ end: { entries: 5, tip: five.tip } })}\n`;
  assert.equal((await audit(forged)).ok, true);
  const whole = await audit(exported);
  assert.match((await audit(forged, { seq: 10, hash: whole.tip })).faults[0]?.what ?? "", /its end is missing/);
});

test("entries that fit their hashes and are no history are refused", async () => {
  const one = (body: unknown, seq = 1, prevHash = GENESIS): string => {
    const { line, hash } = seal({ seq, atMs: 1, term: 0, prevHash, body: body as never });
    return `{"hash":"${hash}","entry":${line}}\n`;
  };
  for (const body of [{ kind: "move", epoch: 1 }, { kind: "checkpoint", epoch: 1 }, null, 7]) {
    assert.equal((await audit(one(body))).faults[0]?.seq, 1, JSON.stringify(body));
  }
  const jump = { move: "bake", from: "active", to: "baked", atMs: 1, detail: { text: "" } };
  assert.match((await audit(one({ kind: "move", epoch: 1, move: jump }))).faults[0]?.what ?? "", /illegally/);
});
