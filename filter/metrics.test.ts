import assert from "node:assert/strict";
import { test } from "node:test";
import { makeSet } from "../control/table/set.ts";
import { deploy, set, settle, splitSet, start, table } from "../test/host/fixtures.ts";
import { MODE } from "../test/host/xds-peer.ts";

test("requests without a table are counted by route, whichever worker saw them", () => {
  const { envoy, peer } = start({ workers: 2 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 100));
  for (const worker of [0, 1, 1]) envoy.request(worker, { route: "paymnets" });
  envoy.request(0, { route: "quotes|eu:v1.2" });
  envoy.request(0, { route: "payments" });
  envoy.request(0, {});
  envoy.advance(100);
  assert.equal(envoy.metrics.value("ballast.requests_without_table"), 5);
  assert.equal(envoy.metrics.value("ballast.without_table.paymnets"), 3);
  assert.equal(envoy.metrics.value("ballast.without_table.quotes|eu:v1.2"), 1);
  assert.equal(byRoute(envoy.metrics.names()).length, 2);
});

test("at most 32 routes are told apart, the rest is in the sum; names that make no metric are in the sum alone", () => {
  const { envoy, peer } = start({ workers: 1 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 100));
  for (const bad of ["", "with space", "r".repeat(129)]) envoy.request(0, { route: bad });
  for (let i = 0; i < 40; i++) envoy.request(0, { route: `route_${i}` });
  envoy.request(0, { route: "route_31" });
  envoy.advance(100);
  assert.equal(envoy.metrics.value("ballast.requests_without_table"), 44);
  assert.deepEqual(
    byRoute(envoy.metrics.names()).sort(),
    Array.from({ length: 32 }, (_, i) => `ballast.without_table.route_${i}`).sort(),
  );
  assert.equal(envoy.metrics.value("ballast.without_table.route_31"), 2);
});

test("a client cannot make metrics: a service named by a header is in the sum alone", () => {
  const { envoy, peer } = start({ workers: 1, config: { service_from: { header: "x-service" } } });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 100));
  envoy.request(0, { headers: { "x-service": "anything" } });
  envoy.advance(100);
  assert.equal(envoy.metrics.value("ballast.requests_without_table"), 1);
  assert.deepEqual(byRoute(envoy.metrics.names()), []);
});

test("refusals are counted by their reason", () => {
  const { envoy, peer } = start({ workers: 2 });
  settle(envoy);
  const bytes = table("payments", { order: { a: 256 } }).bytes.slice();
  bytes[bytes.length - 1] = 7;
  peer.stage(1, makeSet([{ ...table("payments", { order: { a: 256 } }), bytes }]));
  envoy.advance(300);
  deploy(envoy, peer, 2, splitSet("payments", 1));
  peer.stage(2, splitSet("payments", 2));
  envoy.advance(300);
  const refused = envoy.metrics.names().filter((name) => name.startsWith("ballast.refused."));
  assert.deepEqual(refused.sort(), ["ballast.refused.EPOCH_REUSED", "ballast.refused.TABLE_DIGEST"]);
  for (const name of refused) assert.equal(envoy.metrics.value(name), 1, name);
});

test("the age of the set in use is told in seconds, and begins anew with every activation", () => {
  const { envoy, peer } = start({ workers: 2 });
  settle(envoy);
  assert.equal(envoy.metrics.value("ballast.set_age_seconds"), 0);
  deploy(envoy, peer, 1, splitSet("payments", 1));
  envoy.advance(60_000);
  const age = Number(envoy.metrics.value("ballast.set_age_seconds"));
  assert.ok(age >= 59 && age <= 61, `${age}`);
  deploy(envoy, peer, 2, set({ payments: { order: { a: 256 } } }));
  assert.ok(Number(envoy.metrics.value("ballast.set_age_seconds")) <= 1);
});

test("epochs, mode, services and sticky requests are told; with a worker that is stuck, the epochs of the slowest", () => {
  const { envoy, peer } = start({ workers: 2, config: { session_from: { cookie: "sid" } } });
  const value = (name: string) => Number(envoy.metrics.value(`ballast.${name}`));
  settle(envoy);
  assert.deepEqual(["epoch_staged", "epoch_active", "mode", "services"].map(value), [0, 0, 0, 0]);
  const two = { payments: { order: { a: 256 } }, quotes: { order: { a: 256 } } };
  const split = { order: { a: 128, b: 128 } };
  deploy(envoy, peer, 5, set({ ...two, payments: split }));
  assert.deepEqual(["epoch_staged", "epoch_active", "mode", "services"].map(value), [5, 5, 1, 2]);
  envoy.request(0, { route: "payments", headers: { cookie: "sid=1" } });
  envoy.request(1, { route: "payments", headers: { cookie: "sid=2" } });
  envoy.request(1, { route: "payments" });
  envoy.advance(200);
  assert.deepEqual(["requests_steered", "requests_sticky"].map(value), [3, 2]);

  const follower = envoy.workers.find((vm) => vm !== peer.stream.root.vm)!;
  follower.paused = true;
  const next = set(two);
  peer.stage(6, next);
  // It counts as a member until its beat has stood still for a second.
  envoy.advance(500);
  assert.deepEqual(["epoch_staged", "epoch_active"].map(value), [5, 5]);
  follower.paused = false;
  envoy.advance(500);
  assert.deepEqual(["epoch_staged", "epoch_active"].map(value), [6, 5]);
  follower.paused = true;
  peer.activate(6, next.digest, { mode: MODE.observe });
  envoy.advance(500);
  assert.deepEqual(["epoch_staged", "epoch_active"].map(value), [6, 5]);
  follower.paused = false;
  envoy.advance(500);
  assert.deepEqual(["epoch_staged", "epoch_active", "mode", "services"].map(value), [6, 6, 2, 2]);
});

function byRoute(names: readonly string[]): string[] {
  return names.filter((name) => name.startsWith("ballast.without_table."));
}
