import assert from "node:assert/strict";
import { test } from "node:test";
import { deploy, set, settle, splitSet, start } from "../host/fixtures.ts";

/** BALLAST_LIMIT_REQUESTS=10000000 for the long run. */
const REQUESTS = Number(process.env.BALLAST_LIMIT_REQUESTS ?? 1_000_000);
const SLOTS = 256;

test(`memory is flat and quotas stay exact over ${REQUESTS.toLocaleString("en")} requests`, (t) => {
  const { envoy, peer } = start({ workers: 1, config: { session_from: { cookie: "sid" } } });
  settle(envoy);
  const [worker] = envoy.workers as [(typeof envoy.workers)[0]];
  deploy(envoy, peer, 1, set({ payments: { order: { a: 100, b: 156 } } }));
  const memoryBytes = envoy.vms.map((vm) => vm.memoryBytes);
  const sharedBytes = envoy.shared.bytes;
  const counts = new Map<string | undefined, number>();
  for (let i = 0; i < REQUESTS; i++) {
    // Half of them have a session, whose key differs each time.
    const headers = i % 2 === 0 ? {} : { cookie: `x=1; sid=${i}` };
    const { steer } = envoy.request(worker, { route: "payments", headers });
    if (i % 2 === 0) counts.set(steer, (counts.get(steer) ?? 0) + 1);
    if (i % 10_000 === 0) {
      envoy.advance(100);
      for (const vm of envoy.vms) vm.calls.length = 0;
    }
  }
  const rounds = REQUESTS / 2 / SLOTS;
  assert.ok(Math.abs(counts.get("a")! - rounds * 100) < 100);
  assert.ok(Math.abs(counts.get("b")! - rounds * 156) < 156);
  assert.deepEqual(
    envoy.vms.map((vm) => vm.memoryBytes),
    memoryBytes,
  );
  assert.equal(envoy.shared.bytes, sharedBytes);
  assert.deepEqual(
    worker.logs.map(({ text }) => text),
    [],
  );
  envoy.advance(200);
  assert.equal(envoy.metrics.value("ballast.requests_steered"), REQUESTS);
  t.diagnostic(`${(memoryBytes[1]! / (1 << 20)).toFixed(1)} MiB before and after`);
});

test("a worker that gets no request for an hour follows every epoch", () => {
  const { envoy, peer } = start({ workers: 2 });
  settle(envoy);
  const minutes = 60;
  for (let minute = 1; minute <= minutes; minute++) {
    deploy(envoy, peer, minute, splitSet("payments", minute % 2 === 0 ? 0 : 256));
    envoy.advance(60_000 - 600);
    assert.equal(envoy.metrics.value("ballast.epoch_active"), minute);
    for (const vm of envoy.vms) vm.calls.length = 0;
  }
  assert.equal(envoy.shared.longestQueue <= 1, true);
  // The first request of either worker.
  for (const worker of envoy.workers) {
    assert.equal(envoy.request(worker, { route: "payments" }).steer, "payments_b");
  }
  assert.equal(envoy.grpc.streams.length, 1);
});
