import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { findNats } from "../../scripts/fetch-nats.ts";
import { NatsCluster } from "../../scripts/lib/nats-cluster.ts";
import { openStore, type StoreChoice } from "./open-store.ts";

const folder = mkdtempSync(join(tmpdir(), "ballast-open-store-"));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

const onNats = (more: Partial<NonNullable<StoreChoice["nats"]>>): StoreChoice => ({
  sqlite: at("unused.db"),
  nats: {
    servers: ["nats://127.0.0.1:1"],
    monitors: [],
    name: "ballast",
    replicas: 1,
    credentialsFile: null,
    tls: null,
    timeoutMs: 3_000,
    maxBytes: 0,
    allowFewReplicas: true,
    allowUnsynced: true,
    ...more,
  },
});

test("without NATS the file is opened", async () => {
  const store = await openStore({ sqlite: at("a/b.db"), nats: null });
  assert.equal((await store.head()).epoch, 0);
  await store.close();
});

test("a NATS server that is not there, or a credentials file, is STORE_UNREADABLE within the time of a call", async () => {
  await assert.rejects(openStore(onNats({ timeoutMs: 500 })), { code: "STORE_UNREADABLE" });
  await assert.rejects(openStore(onNats({ credentialsFile: at("none.creds") })), { code: "STORE_UNREADABLE" });
});

/** An authority, and certificates of it for a server on loopback and a client; or why not. */
function certificates(): string | null {
  const run = (...args: string[]) => execFileSync("openssl", args, { stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  try {
    run("version");
  } catch {
    return "openssl is not installed";
  }
  run("req", "-x509", ...key, "-keyout", at("ca.key"), "-out", at("ca.pem"), "-days", "2", "-subj", "/CN=test CA");
  for (const name of ["server", "client"]) {
    run("req", ...key, "-keyout", at(`${name}.key`), "-out", at(`${name}.csr`), "-subj", `/CN=${name}`);
    writeFileSync(at(`${name}.ext`), "subjectAltName=DNS:localhost");
    const signed = ["-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-days", "2"];
    run("x509", "-req", "-in", at(`${name}.csr`), ...signed, "-extfile", at(`${name}.ext`), "-out", at(`${name}.pem`));
  }
  return null;
}

const missing = (await findNats()) === null ? "no nats-server: npm test fetches one" : certificates();

test("with TLS the servers' certificate is checked and the client's shown", { skip: missing ?? false }, async () => {
  const cluster = await NatsCluster.start({
    size: 1,
    tls: { certFile: at("server.pem"), keyFile: at("server.key"), caFile: at("ca.pem") },
  });
  try {
    const { servers, monitors } = cluster;
    const tls = { caFile: at("ca.pem"), certFile: at("client.pem"), keyFile: at("client.key") };
    const store = await openStore(onNats({ servers, monitors, allowUnsynced: false, tls }));
    assert.equal(await store.reserve(0, { holder: "a", term: 0 }), 1);
    await store.close();
    const refused = { code: "STORE_UNREADABLE" };
    // Not signed by an authority of the system, and without a certificate of its own.
    await assert.rejects(openStore(onNats({ servers, timeoutMs: 1_000 })), refused);
    const without = { ...tls, certFile: null, keyFile: null };
    await assert.rejects(openStore(onNats({ servers, timeoutMs: 1_000, tls: without })), refused);
  } finally {
    await cluster.stop();
  }
});

test("tls:// never falls back to clear text", { skip: missing ?? false }, async () => {
  const cluster = await NatsCluster.start({ size: 1 });
  try {
    const servers = cluster.servers.map((server) => server.replace("nats:", "tls:"));
    await assert.rejects(openStore(onNats({ servers, timeoutMs: 1_000 })), { code: "STORE_UNREADABLE" });
  } finally {
    await cluster.stop();
  }
});
