import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { type ApiPorts, apiRoutes } from "./api-routes.ts";
import { openApiDocument } from "./openapi.ts";
import { Stand } from "./serve.fixture.ts";

const FILE = "docs/reference/openapi.json";
/** UPDATE_OPENAPI=1 rewrites the document; review the difference like code. */
const update = process.env.UPDATE_OPENAPI === "1";
/** The document itself is served, but not part of itself. */
const routes = apiRoutes({} as ApiPorts).filter(({ path }) => path !== "/openapi.json");
const document = openApiDocument(routes) as {
  paths: Record<string, Record<string, { operationId: string; "x-ballast-role"?: string }>>;
};

let stand: Stand;
before(async () => {
  stand = await Stand.start();
  await stand.until("first weights", (view) => view.epoch > 0);
});
after(() => stand?.stop());

test("the committed document is that of the routes", async () => {
  if (update) await writeFile(FILE, `${JSON.stringify(document, null, 2)}\n`);
  assert.deepEqual(JSON.parse(await readFile(FILE, "utf8")), JSON.parse(JSON.stringify(document)));
  const served = await stand.call("GET", "/openapi.json");
  assert.deepEqual(served.body, JSON.parse(JSON.stringify(document)));
});

test("every operation has its own id, and everything that changes something asks for a role", () => {
  const ids = new Set<string>();
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, { operationId, "x-ballast-role": role }] of Object.entries(operations)) {
      assert.ok(!ids.has(operationId), operationId);
      ids.add(operationId);
      if (method === "post" && path !== "/v1/diff") assert.match(role ?? "", /^(operator|approver)$/, path);
    }
  }
});

test("the reference page names every operation with its role", async () => {
  const page = await readFile("docs/reference/api.md", "utf8");
  for (const { method, path, role } of routes) {
    const row = page.split("\n").find((line) => line.startsWith(`| \`${method} ${path}\``));
    assert.ok(row !== undefined, `${method} ${path} is not documented`);
    assert.ok(row.includes(`| ${role ?? "–"} |`), `${path}: role ${role}`);
  }
});

test("every operation that only reads answers as documented", async () => {
  // The stand holds each answer against its schema and answers INTERNAL when it differs.
  const epoch = (await stand.status()).epoch;
  for (const { method, path } of routes) {
    if (method !== "GET") continue;
    const { status, body } = await stand.call("GET", path.replace("{epoch}", String(epoch)));
    assert.equal(status, 200, `${path}: ${JSON.stringify(body).slice(0, 300)}`);
  }
  const { entries } = (await stand.call("GET", "/v1/history?limit=2")).body as { entries: { seq: number }[] };
  assert.equal(entries.length, 2);
  const older = (await stand.call("GET", `/v1/history?limit=1&before=${entries[1]!.seq}`))
    .body as typeof entries extends infer E ? { entries: E } : never;
  assert.equal(older.entries[0]!.seq, entries[1]!.seq - 1);
  assert.equal((await stand.call("GET", "/v1/history?limit=0")).body.code, "API_BAD_REQUEST");
  assert.equal((await stand.call("GET", "/v1/epochs/999999")).body.code, "EPOCH_NOT_FOUND");
});

test("metrics are well-formed and each is named in the reference page", async () => {
  const text = String((await stand.call("GET", "/metrics")).body.text);
  const page = await readFile("docs/reference/metrics.md", "utf8");
  const names = [...text.matchAll(/^# TYPE (\w+) (?:counter|gauge)$/gm)].map(([, name]) => name!);
  assert.ok(names.length > 20);
  for (const name of names) assert.ok(page.includes(`\`${name}\``), `${name} is not documented`);
  for (const [, name] of page.matchAll(/^\| `(ballast_\w+)`/gm))
    assert.ok(names.includes(name!), `${name} does not exist`);
  for (const line of text.trimEnd().split("\n")) {
    assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="(\\.|[^"\\])*",?)+\})? -?[0-9.e+-]+)$/, line);
  }
  assert.match(text, /^ballast_nodes\{state="active"\} 1$/m);
  assert.match(text, /^ballast_epochs_total\{type="standard"\} [1-9]/m);
});

test("readiness says which check fails", async () => {
  const ready = await stand.call("GET", "/readyz");
  assert.equal(ready.status, 200, JSON.stringify(ready.body));
  const old = await Stand.start({
    rate: 100_000,
    edit: (yaml) => {
      yaml.estate.maxAge = "1m";
    },
  });
  try {
    const late = await old.call("GET", "/readyz");
    assert.equal(late.status, 503);
    const checks = late.body.checks as { name: string; ok: boolean }[];
    assert.deepEqual(
      checks.filter(({ ok }) => !ok).map(({ name }) => name),
      ["estate"],
    );
  } finally {
    await old.stop();
  }
});
