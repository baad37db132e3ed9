import assert from "node:assert/strict";
import { test } from "node:test";
import { deploy, settle, splitSet, start } from "../test/host/fixtures.ts";

const HEADER = "x-ballast-debug";

test("a request with the debug header is told service, target and epoch; another one is written once only", () => {
  const { envoy, peer } = start({ workers: 1, config: { debug_header: HEADER } });
  settle(envoy);
  deploy(envoy, peer, 41, splitSet("payments", 0));
  const asked = envoy.request(0, { route: "payments", headers: { [HEADER]: "1" } });
  assert.equal(asked.headers.get(HEADER), "payments payments_b 41");
  assert.equal(asked.writes, 2);
  const plain = envoy.request(0, { route: "payments" });
  assert.equal(plain.headers.has(HEADER), false);
  assert.equal(plain.writes, 1);
});

test("the longest names and the largest epoch fit", () => {
  const service = "s".repeat(128);
  const longest = `${"s".repeat(126)}_b`;
  const { envoy, peer } = start({ workers: 1, config: { debug_header: HEADER } });
  settle(envoy);
  // splitSet appends two bytes to the service's name for its targets.
  deploy(envoy, peer, Number.MAX_SAFE_INTEGER, splitSet(service.slice(2), 0));
  const asked = envoy.request(0, { route: service.slice(2), headers: { [HEADER]: "" } });
  assert.equal(asked.headers.get(HEADER), `${service.slice(2)} ${longest} ${Number.MAX_SAFE_INTEGER}`);
});

test("without a debug header in the configuration none is looked for", () => {
  const { envoy, peer } = start({ workers: 1 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 0));
  const asked = envoy.request(0, { route: "payments", headers: { [HEADER]: "1" } });
  assert.equal(asked.headers.get(HEADER), "1");
  assert.equal(asked.writes, 1);
});

test("the debug header is left alone where the request is", () => {
  const { envoy } = start({ workers: 1, config: { debug_header: HEADER } });
  settle(envoy);
  const asked = envoy.request(0, { route: "payments", headers: { [HEADER]: "1" } });
  assert.equal(asked.headers.get(HEADER), "1");
});
