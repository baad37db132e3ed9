import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { generateEstate } from "../../demo/generate-estate/main.ts";
import { parseOptions } from "../../demo/generate-estate/options.ts";
import { ConfigError } from "../config/config-error.ts";
import { run } from "./estate-check.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "ballast-check-"));
});
after(() => rm(folder, { recursive: true }));

async function check(args: string[], color = false): Promise<{ code: number; out: string }> {
  const lines: string[] = [];
  const code = await run(args, { out: (text) => lines.push(text), err: (text) => lines.push(text), color });
  return { code, out: lines.join("\n") };
}

async function generated(...flags: string[]): Promise<string> {
  const out = join(await mkdtemp(join(folder, "case-")), "estate");
  await generateEstate(parseOptions(["--out", out, "--config-out", `${out}.yaml`, "--weeks", "1", ...flags]));
  return `${out}.yaml`;
}

test("a clean estate gives targets, capacities and windows, and exit 0", async () => {
  const { code, out } = await check(["check"]);
  assert.equal(code, 0);
  assert.match(out, /payments-site-b {2}144 rps = .*6 cores/);
  assert.match(
    out,
    /CHG\d+ \(change\) from 2026-03-02T09:00Z to 2026-03-02T11:30Z: out of service, by pay-app-b → core-db-b/,
  );
  assert.match(out, /no findings/);
});

test("--tickets says of each ticket why it acts or not", async () => {
  const { out } = await check(["check", "--tickets"]);
  assert.match(out, /acts on ledger-site-b, payments-site-b: approved and scheduled/);
  assert.match(out, /does not act: it is on hold/);
  assert.match(out, /does not act: no target depends on srv-mail-1/);
});

test("an error in the export gives exit 1 and the record's file and line", async () => {
  const { code, out } = await check(["check", "--config", await generated("--reverse-relation")]);
  assert.equal(code, 1);
  assert.match(out, /^error RELATION_REVERSED: .*cmdb_rel_ci\.json:\d+\]$/m);
  const coloured = await check(["check", "--config", await generated("--reverse-relation")], true);
  assert.ok(coloured.out.includes("\u001b[31merror\u001b[0m RELATION_REVERSED"));
});

test("--json is one line of JSON with the same content", async () => {
  const { code, out } = await check(["check", "--json", "--config", await generated("--reverse-relation")]);
  assert.equal(code, 1);
  assert.equal(out.split("\n").length, 1);
  const parsed = JSON.parse(out);
  assert.equal(parsed.findings[0].code, "RELATION_REVERSED");
  assert.equal(parsed.services[2].targets[1].windows[0].path[1], "core-db-b");
  assert.match(parsed.digest, /^[0-9a-f]{16}$/);
});

test("a name of ballast.yaml that no CI carries is a ConfigError with its line", async () => {
  const file = await generated("--rename", "-x");
  await writeFile(file, (await readFile(file, "utf8")).replace("ci: quote-app-a-x", "ci: quote-app-a"));
  await assert.rejects(
    check(["check", "--config", file]),
    (error) =>
      error instanceof ConfigError && /:\d+:\d+ \(services\.quotes\.targets\.quotes-site-a\.ci\)/.test(error.message),
  );
});

test("help, and words that are no command", async () => {
  assert.deepEqual((await check(["--help"])).code, 0);
  assert.match((await check(["check", "--help"])).out, /usage: ballast estate check/);
  await assert.rejects(check(["inspect"]), /USAGE/);
  await assert.rejects(check(["check", "--frob"]), /USAGE/);
});
