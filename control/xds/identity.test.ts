import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { after, test } from "node:test";
import { connect, type PeerCertificate } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { systemClock } from "../../common/clock.ts";
import { DEFAULT_IDENTITIES, IdentityPolicy } from "./identity.ts";
import { epochOf } from "./resources.ts";
import { startXdsServer, type XdsServer } from "./server.ts";
import { SimulatedFilter } from "./simulated-filter.ts";
import { type TestCertificate, testAuthority } from "./test-certificates.ts";
import { testSet } from "./test-sets.ts";

const pause = () => new Promise((resolve) => setTimeout(resolve, 5));
const authority = testAuthority();
const undo: (() => unknown)[] = [];
after(async () => {
  for (const step of undo.reverse()) await step();
});

// Before any test: the runner calls `after` when all tests known so far have ended.
const server = await (async (): Promise<XdsServer> => {
  const { cert, key } = authority.issue("server", ["DNS:localhost", "IP:127.0.0.1"]);
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const started = await startXdsServer({
    address: "127.0.0.1:0",
    fleet: "demo",
    log,
    clock: systemClock,
    limits: { stopMs: 200 },
    tls: { cert, key, clientCa: authority.cert },
  });
  undo.push(() => started.stop());
  return started;
})();

const shown = (...names: string[]): PeerCertificate => {
  const { subjectAltName } = new X509Certificate(authority.issue("client", names).cert);
  return { subjectaltname: subjectAltName } as PeerCertificate;
};

test("a SPIFFE identity speaks for its own node of its own fleet and no other", () => {
  const policy = new IdentityPolicy("demo");
  const edge = shown("URI:spiffe://example.org/fleet/demo/node/edge-1");
  assert.equal(policy.refusal(edge, "edge-1", "demo"), null);
  assert.match(policy.refusal(edge, "edge-2", "demo") ?? "", /does not speak for node edge-2/);
  assert.match(policy.refusal(edge, "edge-1", "other") ?? "", /not of fleet demo/);
  assert.match(new IdentityPolicy("other").refusal(edge, "edge-1", "other") ?? "", /not of fleet other/);
});

test("an identity without a node speaks for the whole fleet", () => {
  const policy = new IdentityPolicy("demo");
  assert.equal(policy.refusal(shown("URI:spiffe://example.org/fleet/demo"), "edge-7", "demo"), null);
});

test("DNS names count where a pattern says so, without regard to case", () => {
  const policy = new IdentityPolicy("demo", ["DNS:{node}.{fleet}.mesh.example.org"]);
  assert.equal(policy.refusal(shown("DNS:edge-1.demo.MESH.example.org"), "edge-1", "demo"), null);
  assert.notEqual(policy.refusal(shown("DNS:edge-1.demo.mesh.example.org.evil"), "edge-1", "demo"), null);
  assert.notEqual(policy.refusal(shown("DNS:edge-1.demo.meshXexample.org"), "edge-1", "demo"), null);
});

test("one fitting name among several is enough; none, or names that hide a comma, are refused", () => {
  const policy = new IdentityPolicy("demo");
  const several = shown("DNS:edge-1.example.org", "URI:spiffe://example.org/fleet/demo/node/edge-1", "IP:127.0.0.1");
  assert.equal(policy.refusal(several, "edge-1", "demo"), null);
  assert.match(policy.refusal(shown("DNS:edge-1.example.org"), "edge-1", "demo") ?? "", /no name/);
  assert.match(policy.refusal(shown(), "edge-1", "demo") ?? "", /no name/);
  assert.match(policy.refusal(null, "edge-1", "demo") ?? "", /no client certificate/);
  const hidden = shown("DNS:x.example, URI:spiffe://example.org/fleet/demo");
  assert.notEqual(policy.refusal(hidden, "edge-1", "demo"), null);
});

test("patterns that cannot mean anything are refused when the server starts", () => {
  for (const pattern of ["spiffe://x/{node}", "URI:", "DNS:{node}.{node}", "IP:{node}"]) {
    assert.throws(() => new IdentityPolicy("demo", [pattern]), { code: "USAGE" });
  }
  assert.equal(DEFAULT_IDENTITIES.length, 2);
});

function filter(id: string, client: TestCertificate): SimulatedFilter {
  const credentials = grpc.credentials.createSsl(authority.cert, client.key, client.cert);
  const made = new SimulatedFilter({
    host: "localhost",
    port: server.port,
    fleet: "demo",
    id,
    instance: "1",
    credentials,
  });
  undo.push(() => made.close());
  return made.open();
}

test("over mutual TLS a node joins with its own certificate and follows epochs", async () => {
  const node = filter("edge-1", authority.issue("edge-1", ["URI:spiffe://example.org/fleet/demo/node/edge-1"]));
  while (!server.fleet.nodes().some(({ id, connected }) => id === "edge-1" && connected)) await pause();
  const all = { term: 1, deadlineMs: 20_000, quorum: "all" } as const;
  assert.equal((await server.fleet.stage(testSet({ payments: 600_000 }), { ...all, epoch: 1 })).acks, 1);
  await server.fleet.activate({ epoch: 1, mode: "steer", deadlineMs: 20_000 });
  assert.equal(epochOf(node.activeVersion), 1);
});

test("a certificate of another fleet or node is refused with XDS_IDENTITY_REFUSED and leaves no trace", async () => {
  for (const name of [
    "URI:spiffe://example.org/fleet/other/node/edge-9",
    "URI:spiffe://example.org/fleet/demo/node/edge-1",
  ]) {
    const node = filter("edge-9", authority.issue("edge-9", [name]));
    await node.until(() => node.events.at(-1)?.kind === "closed");
    const last = node.events.at(-1);
    assert.ok(last?.kind === "closed" && last.code === grpc.status.PERMISSION_DENIED);
    assert.match(last.details, /^XDS_IDENTITY_REFUSED: /);
  }
  assert.equal(
    server.fleet.nodes().some(({ id }) => id === "edge-9"),
    false,
  );
});

test("a stream cannot take another node's name after its first request", async () => {
  const node = filter("edge-3", authority.issue("edge-3", ["URI:spiffe://example.org/fleet/demo/node/edge-3"]));
  while (!server.fleet.nodes().some(({ id, connected }) => id === "edge-3" && connected)) await pause();
  node.options.id = "edge-1";
  node.send({ typeUrl: "type.googleapis.com/ballast.v1.Stage", resourceNames: ["demo"] });
  await node.until(() => node.events.at(-1)?.kind === "closed");
  const last = node.events.at(-1);
  assert.ok(last?.kind === "closed" && last.code === grpc.status.PERMISSION_DENIED);
});

test("without a certificate, or with one of another authority, there is no connection", async () => {
  const strangers = testAuthority("strangers").issue("edge-1", ["URI:spiffe://example.org/fleet/demo/node/edge-1"]);
  for (const client of [{}, strangers]) {
    const options = { ...client, ca: authority.cert, servername: "localhost", ALPNProtocols: ["h2"] };
    const socket = connect({ ...options, port: server.port, host: "127.0.0.1" });
    let heard = 0;
    socket.on("data", (bytes: Buffer) => (heard += bytes.length));
    // TLS 1.3: the client's own part of the handshake succeeds, then the server's alert comes.
    const error = await new Promise<NodeJS.ErrnoException | null>((done) => {
      socket.once("error", done).once("close", () => done(null));
    });
    assert.match(error?.code ?? "closed", /ALERT|ECONNRESET|closed/);
    assert.equal(heard, 0);
  }
});
