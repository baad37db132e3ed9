import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { BallastError } from "../../common/errors.ts";
import { Stand } from "../serve/serve.fixture.ts";
import { parseChange } from "./change-request.ts";
import type { Command } from "./io.ts";

let stand: Stand;
before(async () => {
  stand = await Stand.start();
  await stand.until("first weights", (view) => view.epoch > 0);
});
after(() => stand?.stop());

/** Runs a command as the shell would; a typed error comes back as its code. */
async function ballast(...args: string[]): Promise<{ exit: number | string; out: string }> {
  const [name, ...rest] = args as [string, ...string[]];
  const { run } = (await import(`./${name}.ts`)) as { run: Command };
  const lines: string[] = [];
  const io = { out: (text: string) => void lines.push(text), err: () => {}, color: false };
  const where = name === "audit" || name === "token" ? [] : ["--server", stand.address];
  try {
    return { exit: await run([...rest, ...where], io), out: lines.join("\n") };
  } catch (thrown) {
    if (!(thrown instanceof BallastError)) throw thrown;
    return { exit: thrown.code, out: `${lines.join("\n")}${thrown.message}` };
  }
}

test("models on the command line: status says what forecasts, and each action that cannot be says why", async () => {
  const status = await ballast("model", "status");
  assert.equal(status.exit, 0);
  assert.match(status.out, /^active {5}[0-9a-f]{12} {2}demand, ready, of ballast\.yaml {2}models\/committed\/demand$/m);
  assert.match(status.out, /^drift {6}warming \(policy warn\)$/m);
  assert.match(status.out, /^candidate {2}none$/m);
  const view = JSON.parse((await ballast("model", "status", "--json")).out);
  assert.equal(view.candidate, null);
  const refused = await ballast("model", "shadow", "models/committed/robot-shop", "--reason", "CHG9");
  assert.equal(refused.exit, "MODEL_REFUSED");
  assert.match(refused.out, /SCHEMA_MISMATCH: the model looks 60 steps of 10000 ms ahead, plans need one hour/);
  assert.equal((await ballast("model", "promote")).exit, "USAGE");
  assert.equal((await ballast("model", "shadow", "--reason", "x")).exit, "USAGE");
  assert.equal((await ballast("model", "burn", "--reason", "x")).exit, "USAGE");
  assert.match((await ballast("model", "rollback", "--reason", "x")).out, /no model was promoted/);
  const risk = (await ballast("model", "status", "--risk")).out;
  assert.match(risk, /^active {5}[0-9a-f]{12} {2}change risk, ready, of ballast\.yaml {2}models\/committed\/risk$/m);
  assert.match(risk, /^ +0 changes and targets scored, 0 targets degraded where 0\.0 were expected; \d+ wait/m);
  assert.match((await ballast("model", "promote", "--risk", "--reason", "x")).out, /no model forecasts in shadow/);
});

test("the life of a change on the command line: diff, apply, approve, status, history, show", async () => {
  const file = join(stand.dir, "change.yaml");
  await writeFile(file, "services:\n  ledger: { weights: { ledger-site-a: 90%, ledger-site-b: 10% } }\n");
  const diff = await ballast("diff", file);
  assert.equal(diff.exit, 1, "it needs an approver");
  assert.match(diff.out, /normal change/);
  assert.match(diff.out, /ledger-site-a +50.0 % → +90.0 % +\+40.0 points/);
  assert.match(diff.out, /sessions that change their target 40.0 %/);

  const applied = await ballast("apply", file, "--reason", "CHG1", "--author", "alice");
  const epoch = /change (\d+) waits/.exec(applied.out)![1]!;
  const waiting = await ballast("status");
  assert.equal(waiting.exit, 1);
  assert.match(waiting.out, new RegExp(`change ${epoch} by alice waits for approval`));
  const own = await ballast("approve", epoch, "--by", "alice");
  assert.equal(own.exit, "SELF_APPROVAL", "a refusal has the server's own code");
  const approved = await ballast("approve", epoch, "--by", "bob", "--reason", "looked at it");
  const active = /epoch (\d+) is active \(normal change\)/.exec(approved.out)![1]!;
  assert.match(
    (await ballast("history")).out,
    new RegExp(`epoch ${active} active: normal, operator by alice, approved by bob: CHG1`),
  );
  const shown = await ballast("audit", "show", active, "--store", stand.storePath);
  assert.match(shown.out, /BROKEN +ledger: largest step 400000 of 200000 ppm/);
  assert.match(shown.out, /ledger-site-a +500000 → 900000 ppm/);
});

test("one service by flags, inside the bounds, is in force at once; resume gives it back", async () => {
  const diff = await ballast("diff", "--service", "payments", "--weights", "payments-site-a=65,payments-site-b=35");
  assert.equal(diff.exit, 0, diff.out);
  const applied = await ballast(
    ...["apply", "--service", "payments", "--weights", "payments-site-a=65%,payments-site-b=35%"],
    ...["--reason", "CHG2", "--author", "alice"],
  );
  assert.match(applied.out, /is active \(standard change\)/);
  assert.equal((await ballast("resume", "--services", "payments", "--author", "alice")).exit, 0);
  assert.ok(!(await stand.status()).changes.pinned.some(({ service }) => service === "payments"));
});

test("freezes are added, listed, broken and lifted", async () => {
  const { now } = await stand.status();
  const to = new Date(Date.parse(now) + 86_400_000).toISOString();
  const added = await ballast(
    "freeze",
    "add",
    "--name",
    "books",
    "--to",
    to,
    "--services",
    "quotes",
    "--reason",
    "r",
    "--author",
    "carol",
  );
  const id = added.out.split(" ")[0]!;
  assert.match((await ballast("freeze", "list")).out, new RegExp(`${id} +deny +quotes +OPEN until`));
  assert.match(
    (await ballast("freeze", "break", "--for", "30m", "--reason", "P1", "--author", "carol")).out,
    /^break:.* broken$/,
  );
  assert.match((await ballast("freeze", "list")).out, /broken +all services/);
  assert.match((await ballast("freeze", "lift", id, "--reason", "r", "--author", "carol")).out, /lifted$/);
});

test("mistakes on the command line are told before anything is sent", async () => {
  const wrong: string[][] = [
    ["apply", "--service", "payments", "--weights", "a=70,b=30"],
    ["apply", "--reason", "r"],
    ["diff", "nowhere.yaml"],
    ["diff", "--service", "payments", "--weights", "payments-site-a"],
    ["diff", "--service", "payments", "--weights", "payments-site-a=101"],
    ["diff", "--service", "payments", "--mode", "fast"],
    ["approve", "x"],
    ["refuse", "3"],
    ["freeze", "melt"],
    ["freeze", "break", "--for", "9d", "--reason", "r"],
    ["history", "--limit", "0"],
    ["audit"],
    ["audit", "show"],
    ["kill-switch", "maybe"],
    ["token", "alice"],
    ["epoch"],
    ["epoch", "adopt", "7"],
  ];
  for (const args of wrong) assert.equal((await ballast(...args)).exit, "USAGE", args.join(" "));
  assert.throws(() => parseChange("services: { a: { weight: {} } }", "f"), /unknown field "weight"/);
  assert.throws(() => parseChange("services: [a]", "f"), /expected a mapping/);
  assert.throws(() => parseChange("a: { b: c, b: d }", "f"), /USAGE/);
});

test("an export verifies by itself, and a flipped byte anywhere in it is found and named", async () => {
  const { out } = await ballast("audit", "export", "--store", stand.storePath);
  const file = join(stand.dir, "log.jsonl");
  await writeFile(file, out);
  const sound = await ballast("audit", "verify", "--export", file);
  assert.equal(sound.exit, 0, sound.out);
  const lines = out.split("\n");
  const hash = /"hash":"(\w+)","entry":(.*)\}$/.exec(lines[0]!)!;
  assert.equal(createHash("sha256").update(hash[2]!).digest("hex"), hash[1], "any program can check it");
  let at = 0;
  for (let tries = 0; tries < 60; tries++) {
    at = (at + 7919) % out.length;
    if (out[at] === "\n") continue;
    const flipped = `${out.slice(0, at)}${String.fromCharCode(out.charCodeAt(at) ^ 1)}${out.slice(at + 1)}`;
    await writeFile(file, flipped);
    const report = await ballast("audit", "verify", "--export", file);
    assert.equal(report.exit, "AUDIT_FAILED", `byte ${at}`);
    const entry = out.slice(0, at).split("\n").length;
    // A flip of the hash of a line may be seen first where the next entry does not continue it.
    assert.match(report.out, new RegExp(`entry ${entry} `), `byte ${at}: ${report.out}`);
  }
  await writeFile(file, lines.slice(1).join("\n"));
  assert.match(
    (await ballast("audit", "verify", "--export", file)).out,
    /entry 1 is missing: the next one has number 2/,
  );
});

test("the store verifies, and a changed entry is named with the code AUDIT_FAILED", async () => {
  const sound = await ballast("audit", "verify", "--store", stand.storePath);
  assert.equal(sound.exit, 0, sound.out);
  const copy = join(stand.dir, "copy.db");
  const db = new DatabaseSync(stand.storePath, { readOnly: true });
  db.exec(`VACUUM INTO '${copy}'`);
  db.close();
  const changed = new DatabaseSync(copy);
  changed.exec("DROP TRIGGER log_no_update");
  changed.exec(
    "UPDATE log SET line = replace(line, 'alice', 'mallo') WHERE seq = (SELECT max(seq) FROM log WHERE line LIKE '%alice%' AND kind = 'checkpoint')",
  );
  const { seq } = changed.prepare("SELECT max(seq) AS seq FROM log WHERE line LIKE '%mallo%'").get() as { seq: number };
  changed.close();
  const report = await ballast("audit", "verify", "--store", copy);
  assert.equal(report.exit, "AUDIT_FAILED");
  assert.match(report.out, new RegExp(`entry ${seq} `));
  assert.equal((await ballast("audit", "verify", "--store", join(stand.dir, "none.db"))).exit, "STORE_UNREADABLE");
});

test("a token is random, and its line admits its hash", async () => {
  const one = JSON.parse((await ballast("token", "alice", "--roles", "operator,viewer", "--json")).out);
  const two = JSON.parse((await ballast("token", "alice", "--roles", "operator,viewer", "--json")).out);
  assert.notEqual(one.token, two.token);
  assert.equal(one.line, `alice operator,viewer ${createHash("sha256").update(one.token).digest("hex")}`);
  assert.ok((await readFile("docs/reference/ballast-yaml.md", "utf8")).includes("`ballast token`"));
});

test("a change that waits is refused; a rollback and the kill switch are in force at once, and owe an approval", async () => {
  const apply = ["apply", "--service", "ledger", "--weights", "ledger-site-a=10,ledger-site-b=90"];
  const applied = await ballast(...apply, "--reason", "CHG3", "--author", "alice");
  assert.equal(applied.exit, 0, applied.out);
  const waiting = /change (\d+) waits/.exec(applied.out)![1]!;
  const refused = await ballast("refuse", waiting, "--by", "bob", "--reason", "not today");
  assert.deepEqual(refused, { exit: 0, out: `change ${waiting} is refused` });
  assert.doesNotMatch((await ballast("status")).out, /waits for approval/);
  assert.equal((await ballast("refuse", waiting, "--by", "bob", "--reason", "again")).exit, "CHANGE_NOT_FOUND");

  const before = (await stand.status()).epoch;
  const rolledBack = await ballast("rollback", "--to", "1", "--reason", "INC7", "--author", "carol");
  assert.equal(rolledBack.exit, 0, rolledBack.out);
  const [, epoch, tablesOf] =
    /^epoch (\d+) is active with the tables of epoch (\d+); the planner holds until `ballast resume`$/.exec(
      rolledBack.out,
    )!;
  assert.ok(Number(epoch) > before);
  assert.equal(tablesOf, "1");
  const owing = await ballast("status");
  assert.equal(owing.exit, 1);
  assert.match(owing.out, new RegExp(`epoch ${epoch} \\(rollback\\) owes an approval by .*: INC7`));
  assert.equal((await ballast("approve", epoch!, "--by", "bob")).exit, 0);

  const on = await ballast("kill-switch", "on", "--reason", "INC8", "--author", "carol");
  assert.equal(on.exit, 0, on.out);
  const passthrough = /^epoch (\d+) is active \(emergency change\)$/m.exec(on.out)![1]!;
  assert.equal((await stand.status()).mode, "passthrough");
  assert.match((await ballast("status")).out, /PASSTHROUGH/);
  assert.equal((await ballast("approve", passthrough, "--by", "bob")).exit, 0);
  const off = await ballast("kill-switch", "off", "--reason", "over", "--author", "carol");
  assert.equal(off.exit, 0, off.out);
  const back = /^change (\d+) waits for an approver until /.exec(off.out)![1]!;
  assert.match((await ballast("approve", back, "--by", "bob")).out, /is active \(normal change\)/);
  assert.equal((await stand.status()).mode, "steer");
  assert.deepEqual(await ballast("resume", "--author", "carol"), { exit: 0, out: "the planner acts again" });
});
