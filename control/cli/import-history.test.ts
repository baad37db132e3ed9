import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { BallastError } from "../../common/errors.ts";
import { readLoadHistoryCsv } from "../ingest/load-history-csv.ts";
import { run } from "./import-history.ts";

const FIXTURES = join(import.meta.dirname, "../ingest/history/fixtures");

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ballast-import-"));
});
after(() => rm(folder, { recursive: true, force: true }));

async function imported(...args: string[]): Promise<{ out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const io = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text), color: false };
  assert.equal(await run(args, io), 0);
  return { out: out.join("\n"), err: err.join("\n") };
}

test("a Parquet file becomes the CSV that the configuration names, and the gaps are told", async () => {
  const out = join(folder, "load.csv");
  const said = await imported("--from", "parquet", "--file", join(FIXTURES, "long-snappy.parquet"), "--out", out);
  assert.match(said.out, /6 steps of 300 s, 2 services/);
  assert.match(
    said.out,
    /payments: 5 with a reading, 1 without\n {4}2026-03-02T06:20:00Z to 2026-03-02T06:25:00Z: no row/,
  );
  assert.match(
    said.out,
    /quotes: 5 with a reading, 1 without\n {4}2026-03-02T06:10:00Z to 2026-03-02T06:15:00Z: an empty cell/,
  );
  const lines = (await readFile(out, "utf8")).split("\n");
  assert.deepEqual(lines.slice(0, 4), [
    "time,payments,quotes",
    "2026-03-02T06:00:00Z,10.5,0",
    "2026-03-02T06:05:00Z,11.5,2",
    "2026-03-02T06:10:00Z,12.5,",
  ]);
  assert.deepEqual((await readLoadHistoryCsv(out, { stepMs: 300_000 })).services, ["payments", "quotes"]);
});

test("readings finer than a step are averaged, and a step with fewer than half of them is a gap", async () => {
  const minutes = Array.from({ length: 15 }, (_, i) => `2026-03-02T06:${String(i).padStart(2, "0")}:00Z,${i}`);
  const fine = join(folder, "fine.csv");
  // Of the second step two readings are left, of the third three.
  await writeFile(fine, `time,payments\n${minutes.filter((_, i) => ![5, 6, 7, 10, 11].includes(i)).join("\n")}\n`);
  const out = join(folder, "steps.csv");
  const said = await imported("--from", "csv", "--file", fine, "--readings", "1m", "--out", out);
  assert.match(said.out, /06:05:00Z to 2026-03-02T06:10:00Z: 2 of 5 readings/);
  assert.equal(
    await readFile(out, "utf8"),
    "time,payments\n2026-03-02T06:00:00Z,2\n2026-03-02T06:05:00Z,\n2026-03-02T06:10:00Z,13\n",
  );
  const again = ["--from", "csv", "--file", fine, "--out", out, "--force"];
  await assert.rejects(imported(...again), /HISTORY_INVALID: .*expected a multiple of the step, 300 s/);
  await assert.rejects(imported(...again, "--readings", "7m"), /USAGE: --readings 7m: expected a part of --step 5m/);
});

test("an existing file is kept unless --force says otherwise", async () => {
  const out = join(folder, "mine.csv");
  await writeFile(out, "mine");
  const args = ["--from", "parquet", "--file", join(FIXTURES, "wide-int.parquet"), "--out", out];
  await assert.rejects(imported(...args), /USAGE: .*is there already; --force replaces it/);
  assert.equal(await readFile(out, "utf8"), "mine");
  await imported(...args, "--force");
  assert.match(await readFile(out, "utf8"), /^time,payments,quotes\n/);
});

test("access logs of Envoy are counted, and --json gives the account", async () => {
  const log = join(FIXTURES, "envoy-json.txt");
  const out = join(folder, "routes.csv");
  const said = await imported("--from", "access-log", "--file", log, "--step", "1s", "--out", out, "--json");
  const account = JSON.parse(said.out) as {
    rows: number;
    stepMs: number;
    source: string;
    services: object[];
    notes: string[];
  };
  assert.deepEqual([account.rows, account.stepMs, account.source, account.services.length], [5, 1000, log, 2]);
  assert.deepEqual(account.notes, ["left out: 1 without a route"]);
});

test("each slip of the command line is USAGE and writes nothing", async () => {
  const out = join(folder, "never.csv");
  const cases: [args: string[], message: RegExp][] = [
    [["--from", "csv", "--file", "x"], /--out is missing/],
    [["--out", out], /--from must be/],
    [["--from", "excel", "--out", out], /--from must be/],
    [["--from", "csv", "--out", out], /--file is missing/],
    [["--from", "csv", "--out", out, "--file", "a", "--file", "b"], /takes one --file/],
    [["--from", "csv", "--out", out, "--file", "a", "--step", "5"], /--step 5: expected/],
    [["--from", "csv", "--out", out, "--file", "a", "--step", "0s"], /--step 0s: expected/],
    [["--from", "access-log", "--out", out, "--file", "a", "--by", "path"], /--by must be/],
    [["--from", "prometheus", "--out", out], /--url is missing/],
    [["--from", "prometheus", "--out", out, "--url", "http://x", "--query", "y", "--since", "today"], /--since today/],
  ];
  for (const [args, message] of cases)
    await assert.rejects(imported(...args), (error) => {
      return error instanceof BallastError && error.code === "USAGE" && message.test(error.message);
    });
  await assert.rejects(readFile(out), /ENOENT/);
});
