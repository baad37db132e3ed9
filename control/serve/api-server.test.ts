import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { callApi } from "../cli/api-client.ts";
import type { Role } from "../config/access.ts";
import { Doorkeeper, readTokenFile } from "./api-access.ts";
import { type ApiRoute, type ApiServer, findRoute, startApiServer } from "./api-server.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

const route = (method: "GET" | "POST", path: string, role: Role | null): ApiRoute => ({
  method,
  path,
  role,
  summary: "for the test",
  body: method === "POST" ? z.strictObject({ author: z.string().optional() }) : null,
  answer: z.strictObject({ actor: z.string() }),
  handle: ({ body, actor, caller }) => ({
    actor: method === "POST" ? actor((body as { author?: string }).author) : (caller.name ?? "anybody"),
  }),
});
const ROUTES = [
  route("GET", "/healthz", null),
  route("GET", "/v1/status", "viewer"),
  route("POST", "/v1/change", "operator"),
  route("POST", "/v1/changes/{epoch}/approve", "approver"),
];
const TOKENS = [
  { name: "vera", roles: ["viewer"] as const, sha256: sha256("token-of-vera") },
  { name: "oscar", roles: ["operator"] as const, sha256: sha256("token-of-oscar") },
  { name: "anna", roles: ["approver"] as const, sha256: sha256("token-of-anna") },
];

describe("tokens and roles", () => {
  let api: ApiServer;
  before(async () => {
    const doorkeeper = new Doorkeeper({ tokens: TOKENS, identities: [] });
    api = await startApiServer({ host: "127.0.0.1", port: 0, routes: () => ROUTES, doorkeeper, checkAnswers: true });
  });
  after(() => api.stop());

  const call = async (method: string, path: string, token: string | null, body?: object) => {
    const response = await fetch(`http://127.0.0.1:${api.port}${path}`, {
      method,
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, ...(JSON.parse(await response.text()) as { code?: string; actor?: string }) };
  };

  test("each role may do its own and read, and nothing else", async () => {
    const allowed: Record<string, [string, string, string][]> = {
      vera: [["GET", "/v1/status", "vera"]],
      oscar: [
        ["GET", "/v1/status", "oscar"],
        ["POST", "/v1/change", "oscar"],
      ],
      anna: [
        ["GET", "/v1/status", "anna"],
        ["POST", "/v1/changes/7/approve", "anna"],
      ],
    };
    for (const { name } of TOKENS) {
      for (const [method, path] of [
        ["GET", "/v1/status"],
        ["POST", "/v1/change"],
        ["POST", "/v1/changes/7/approve"],
      ] as const) {
        const answer = await call(method, path, `token-of-${name}`, method === "POST" ? {} : undefined);
        const may = allowed[name]!.some(([m, p]) => m === method && p === path);
        assert.deepEqual(
          [answer.status, answer.code],
          may ? [200, undefined] : [403, "API_ROLE_MISSING"],
          `${name} ${path}`,
        );
        if (may) assert.equal(answer.actor, name, "the token says who acts");
      }
    }
  });

  test("no token, a wrong one, and one that is nearly right are refused alike; health needs none", async () => {
    for (const token of [null, "token-of-verb", "token-of-ver", "token-of-vera2", `${"x".repeat(5000)}`]) {
      const answer = await call("GET", "/v1/status", token);
      assert.deepEqual([answer.status, answer.code], [401, "API_UNAUTHORIZED"]);
    }
    assert.equal((await call("GET", "/healthz", null)).status, 200);
  });

  test("nobody acts under the name of somebody else", async () => {
    assert.equal((await call("POST", "/v1/change", "token-of-oscar", { author: "oscar" })).actor, "oscar");
    assert.equal((await call("POST", "/v1/change", "token-of-oscar", { author: "anna" })).code, "API_ROLE_MISSING");
  });
});

test("without tokens the local user has every role and must say who acts", async () => {
  const api = await startApiServer({ host: "127.0.0.1", port: 0, routes: () => ROUTES });
  try {
    const answer = await callApi(`127.0.0.1:${api.port}`, "POST", "/v1/change", { author: "me" });
    assert.deepEqual(answer, { actor: "me" });
    await assert.rejects(callApi(`127.0.0.1:${api.port}`, "POST", "/v1/change", {}), /API_BAD_REQUEST.*who does it/);
  } finally {
    await api.stop();
  }
});

test("web pages, unknown paths, bodies that are too large or no JSON are refused with their codes", async () => {
  const api = await startApiServer({ host: "127.0.0.1", port: 0, routes: () => ROUTES, maxBodyBytes: 100 });
  const base = `http://127.0.0.1:${api.port}`;
  const code = async (path: string, init: RequestInit) => {
    const response = await fetch(`${base}${path}`, init);
    const body = (await response.json()) as { code: string; message: string; hint: string };
    assert.deepEqual(Object.keys(body).sort(), ["code", "hint", "message"]);
    return `${response.status} ${body.code}`;
  };
  try {
    assert.equal(await code("/healthz", { headers: { origin: "https://evil.example" } }), "403 API_FORBIDDEN");
    assert.equal(await code("/nowhere", {}), "404 API_NOT_FOUND");
    assert.equal(await code("/v1/change", { method: "DELETE" }), "404 API_NOT_FOUND");
    assert.equal(await code("/v1/change", { method: "POST", body: "{" }), "400 API_BAD_REQUEST");
    assert.equal(await code("/v1/change", { method: "POST", body: '{"other":1}' }), "400 API_BAD_REQUEST");
    assert.equal(await code("/v1/change", { method: "POST", body: "x".repeat(101) }), "400 API_BAD_REQUEST");
  } finally {
    await api.stop();
  }
});

test("paths are matched whole, with their parameters decoded", () => {
  const find = (path: string) => findRoute(ROUTES, "POST", path)?.params.epoch;
  assert.equal(find("/v1/changes/7/approve"), "7");
  assert.equal(find("/v1/changes/a%3Ab/approve"), "a:b");
  for (const path of [
    "/v1/changes//approve",
    "/v1/changes/7",
    "/v1/changes/7/approve/",
    "/v1/changes/%E0%A4/approve",
  ]) {
    assert.equal(findRoute(ROUTES, "POST", path), null, path);
  }
});

test("a token file that others can read is refused, and so is a line that is no token", async () => {
  const dir = await mkdtemp(join(tmpdir(), "ballast-tokens-"));
  const file = join(dir, "tokens");
  try {
    await writeFile(file, `# people\nanna approver,viewer ${sha256("a")}\n\n`, { mode: 0o600 });
    assert.deepEqual(await readTokenFile(file), [{ name: "anna", roles: ["approver", "viewer"], sha256: sha256("a") }]);
    for (const mode of [0o640, 0o604, 0o620]) {
      await chmod(file, mode);
      await assert.rejects(readTokenFile(file), /TOKEN_FILE_UNSAFE.*others can read/);
    }
    for (const line of ["anna", `anna boss ${sha256("a")}`, "anna approver short", `anna approver, ${sha256("a")}`]) {
      await rm(file);
      await writeFile(file, `# one\n${line}\n`, { mode: 0o600 });
      await assert.rejects(readTokenFile(file), /TOKEN_FILE_UNSAFE.*tokens:2/);
    }
    await assert.rejects(readTokenFile(join(dir, "none")), /TOKEN_FILE_UNSAFE/);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("an address that others can reach needs TLS", async () => {
  for (const host of ["0.0.0.0", "::", "192.0.2.1"]) {
    await assert.rejects(startApiServer({ host, port: 0, routes: () => ROUTES }), /API_TLS_REQUIRED/);
  }
});

const openssl = (() => {
  try {
    execFileSync("openssl", ["version"]);
    return true;
  } catch {
    return false;
  }
})();

test("with TLS a client certificate says who calls", {
  skip: openssl ? false : "openssl is not installed",
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), "ballast-tls-"));
  const at = (name: string) => join(dir, name);
  const run = (...args: string[]) => execFileSync("openssl", args, { stdio: "pipe" });
  const issue = (name: string, san: string, ca: string) => {
    run(
      "req",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-keyout",
      at(`${name}.key`),
      "-out",
      at(`${name}.csr`),
      "-subj",
      `/CN=${name}`,
      "-addext",
      `subjectAltName=${san}`,
    );
    run(
      "x509",
      "-req",
      "-in",
      at(`${name}.csr`),
      "-CA",
      at(`${ca}.pem`),
      "-CAkey",
      at(`${ca}.key`),
      "-CAcreateserial",
      "-days",
      "2",
      "-copy_extensions",
      "copy",
      "-out",
      at(`${name}.pem`),
    );
  };
  for (const ca of ["ca", "other"]) {
    run(
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-keyout",
      at(`${ca}.key`),
      "-out",
      at(`${ca}.pem`),
      "-days",
      "2",
      "-subj",
      `/CN=${ca}`,
    );
  }
  issue("server", "IP:127.0.0.1", "ca");
  issue("oscar", "URI:spiffe://example.org/oscar", "ca");
  issue("stranger", "URI:spiffe://example.org/stranger", "ca");
  issue("forger", "URI:spiffe://example.org/oscar", "other");
  const identities = [{ name: "oscar", roles: ["operator"] as const, san: "spiffe://example.org/oscar" }];
  const [cert, key, clientCa] = await Promise.all(
    ["server.pem", "server.key", "ca.pem"].map((name) => readFile(at(name))),
  );
  const api = await startApiServer({
    host: "127.0.0.1",
    port: 0,
    routes: () => ROUTES,
    doorkeeper: new Doorkeeper({ tokens: TOKENS, identities }),
    tls: { cert: cert!, key: key!, clientCa: clientCa! },
  });
  const environment = ["BALLAST_CA", "BALLAST_CERT", "BALLAST_KEY", "BALLAST_TOKEN"];
  const as = async (name: string | null, token?: string) => {
    process.env.BALLAST_CA = at("ca.pem");
    if (name !== null) Object.assign(process.env, { BALLAST_CERT: at(`${name}.pem`), BALLAST_KEY: at(`${name}.key`) });
    if (token !== undefined) process.env.BALLAST_TOKEN = token;
    try {
      return await callApi(`https://127.0.0.1:${api.port}`, "POST", "/v1/change", {});
    } finally {
      for (const variable of environment) delete process.env[variable];
    }
  };
  try {
    assert.deepEqual(await as("oscar"), { actor: "oscar" });
    assert.deepEqual(await as(null, "token-of-oscar"), { actor: "oscar" }, "or a token");
    for (const name of ["stranger", "forger", null]) await assert.rejects(as(name), /API_UNAUTHORIZED/, String(name));
    await assert.rejects(
      callApi(`https://127.0.0.1:${api.port}`, "GET", "/healthz"),
      /SERVER_UNREACHABLE/,
      "without the CA",
    );
  } finally {
    await api.stop();
    await rm(dir, { recursive: true });
  }
});
