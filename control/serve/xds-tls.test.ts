import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import { SimulatedFilter } from "../xds/simulated-filter.ts";
import { type TestCertificate, testAuthority } from "../xds/test-certificates.ts";
import { Stand } from "./serve.fixture.ts";

const identities = ["DNS:{node}.{fleet}.edge.example.org"];
for (const [kind, patterns, own, foreign] of [
  [
    "SPIFFE id",
    null,
    "URI:spiffe://example.org/fleet/demo/node/edge-2",
    "URI:spiffe://example.org/fleet/other/node/edge-2",
  ],
  ["DNS name", identities, "DNS:edge-2.demo.edge.example.org", "DNS:edge-2.other.edge.example.org"],
] as const) {
  test(`with server.xdsTls a node joins under the fleet of its certificate's ${kind} and under no other`, () =>
    joins(patterns, own, foreign));
}

async function joins(patterns: readonly string[] | null, own: string, foreign: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "ballast-xds-tls-"));
  const authority = testAuthority();
  const server = authority.issue("control", ["IP:127.0.0.1"]);
  const files = { cert: join(dir, "cert.pem"), key: join(dir, "key.pem"), clientCa: join(dir, "ca.pem") };
  await writeFile(files.cert, server.cert);
  await writeFile(files.key, server.key);
  await writeFile(files.clientCa, authority.cert);
  const stand = await Stand.start({
    edit: (yaml) => (yaml.server.xdsTls = { ...files, ...(patterns === null ? {} : { identities: patterns }) }),
  });
  const node = ({ cert, key }: TestCertificate) =>
    new SimulatedFilter({
      port: stand.server.xdsPort,
      fleet: "demo",
      id: "edge-2",
      instance: "b",
      credentials: grpc.credentials.createSsl(authority.cert, key, cert),
    });
  const member = node(authority.issue("edge-2", [own]));
  const stranger = node(authority.issue("edge-2", [foreign]));
  try {
    member.open();
    await stand.until("the member uses the first epoch", () => member.activeVersion.startsWith("1-"));
    stranger.open();
    for (let tries = 0; tries < 200 && !stranger.events.some(({ kind }) => kind === "closed"); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    const closed = stranger.events.find((event) => event.kind === "closed");
    assert.equal(closed?.kind === "closed" ? closed.code : null, grpc.status.PERMISSION_DENIED);
    assert.equal(stranger.activeVersion, "");
  } finally {
    member.close();
    stranger.close();
    await stand.stop();
    await rm(dir, { recursive: true, force: true });
  }
}
