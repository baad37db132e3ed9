import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { xxh64 } from "../common/xxh64.ts";
import { decodeTable } from "../control/table/codec.ts";
import type { Envoy } from "../test/host/envoy.ts";
import { deploy, set, settle, splitSet, start } from "../test/host/fixtures.ts";
import { MODE } from "../test/host/xds-peer.ts";

const SEED = xxh64(new TextEncoder().encode("demo"));

function picks(envoy: Envoy, count: number, service = "payments"): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const target = envoy.request(0, { route: service }).steer ?? "none";
    counts.set(target, (counts.get(target) ?? 0) + 1);
  }
  return counts;
}

test("any M consecutive picks of one worker for one service hit the quotas exactly", () => {
  const { envoy, peer } = start({ workers: 1 });
  settle(envoy);
  deploy(envoy, peer, 1, set({ payments: { order: { a: 150, b: 100, c: 6 } }, other: { order: { x: 256 } } }));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 1, max: 3 }), (skip, rounds) => {
      picks(envoy, skip);
      picks(envoy, 3, "other");
      const counts = picks(envoy, 256 * rounds);
      assert.deepEqual([counts.get("a"), counts.get("b"), counts.get("c")], [150 * rounds, 100 * rounds, 6 * rounds]);
    }),
    { numRuns: 20 },
  );
});

test("across one table change, M picks stay within 3 of the blended quota", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 256 }),
      fc.integer({ min: 0, max: 256 }),
      fc.integer({ min: 0, max: 256 }),
      fc.integer({ min: 1, max: 1_000_000 }),
      (before, after, cut, seed) => {
        const { envoy, peer } = start({ workers: 1, seed });
        settle(envoy);
        deploy(envoy, peer, 1, splitSet("payments", before));
        const first = picks(envoy, cut).get("payments_a") ?? 0;
        deploy(envoy, peer, 2, splitSet("payments", after));
        const second = picks(envoy, 256 - cut).get("payments_a") ?? 0;
        const blended = (before * cut + after * (256 - cut)) / 256;
        assert.ok(Math.abs(first + second - blended) <= 3, `${first + second} against ${blended}`);
      },
    ),
    { numRuns: 25 },
  );
});

test("a session stays where the reference XXH64 of its key puts it, on every worker", () => {
  const { envoy, peer } = start({ workers: 2, config: { session_from: { cookie: "sid" } } });
  settle(envoy);
  const tables = set({ payments: { order: { a: 512, b: 256, c: 256 } } });
  deploy(envoy, peer, 1, tables);
  const { sticky, targets } = decodeTable(tables.tables[0]!.bytes);
  fc.assert(
    fc.property(fc.stringMatching(/^[A-Za-z0-9+/=%_.-]{1,120}$/), (key) => {
      const slot = xxh64(new TextEncoder().encode(key), SEED) >> 54n;
      const expected = targets[sticky[Number(slot)]!]!.name;
      for (const cookie of [`sid=${key}`, `a=1; xsid=no; sid=${key}; z=2`, `;;  sid=${key};sid=other`]) {
        for (const worker of [0, 1]) {
          assert.equal(envoy.request(worker, { route: "payments", headers: { cookie } }).steer, expected, cookie);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test("an empty or absent session key falls back to the smooth order", () => {
  const { envoy, peer } = start({ workers: 1, config: { session_from: { cookie: "sid" } } });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 64));
  for (const cookie of ["sid=", "other=1", "sid=; sid=", "sid", "xsid=5", ""]) {
    let a = 0;
    for (let i = 0; i < 256; i++) {
      if (envoy.request(0, { route: "payments", headers: { cookie } }).steer === "payments_a") a++;
    }
    assert.equal(a, 64, JSON.stringify(cookie));
  }
});

test("sessions and services may come from headers, and a fixed service needs no look-up", () => {
  const header = start({
    workers: 1,
    config: { service_from: { header: "X-Service" }, session_from: { header: "x-session-id" } },
  });
  settle(header.envoy);
  deploy(header.envoy, header.peer, 1, set({ payments: { order: { a: 256, b: 0 }, sticky: { a: 0, b: 256 } } }));
  const headers = { "x-service": "payments", "x-session-id": "s1" };
  assert.equal(header.envoy.request(0, { headers }).steer, "b");
  assert.equal(header.envoy.request(0, { headers: { "x-service": "payments" } }).steer, "a");
  assert.equal(header.envoy.request(0, {}).writes, 0);

  const fixed = start({ workers: 1, config: { service_from: { fixed: "payments" } } });
  settle(fixed.envoy);
  deploy(fixed.envoy, fixed.peer, 1, splitSet("payments", 256));
  const vm = fixed.envoy.workers[0]!;
  vm.calls.length = 0;
  assert.equal(fixed.envoy.request(0, {}).steer, "payments_a");
  assert.deepEqual(vm.calls, ["proxy_replace_header_map_value"]);
});

test("service and session of a request are read in one call where both come from headers, whatever other headers there are", () => {
  const { envoy, peer } = start({
    workers: 1,
    config: { service_from: { header: "x-service" }, session_from: { cookie: "sid" } },
  });
  settle(envoy);
  deploy(envoy, peer, 1, set({ payments: { order: { a: 256, b: 0 }, sticky: { a: 0, b: 256 } } }));
  const vm = envoy.workers[0]!;
  vm.calls.length = 0;
  const headers = { ":path": "/", "x-servic": "no", "x-service": "payments", "x-service-2": "no", cookie: "sid=1" };
  assert.equal(envoy.request(0, { headers }).steer, "b");
  assert.deepEqual(vm.calls, ["proxy_get_header_map_pairs", "proxy_replace_header_map_value"]);
  // Without a session the host is asked once more: it may know a name in another case.
  assert.equal(envoy.request(0, { headers: { "x-service": "payments" } }).steer, "a");
  assert.equal(envoy.request(0, { headers: { cookie: "sid=1" } }).writes, 0);
  assert.equal(envoy.request(0, { headers: {} }).writes, 0);
  // More than the host can hand over: the two are asked for one by one.
  assert.equal(envoy.request(0, { headers: { ...headers, "x-large": "x".repeat(300_000) } }).steer, "b");
});

test("a change from reading all headers to reading one leaves nothing of the former behind", () => {
  const { envoy, peer } = start({
    workers: 1,
    config: { service_from: { header: "x-service" }, session_from: { cookie: "sid" } },
  });
  settle(envoy);
  deploy(envoy, peer, 1, set({ payments: { order: { a: 256 } }, quotes: { order: { q: 256 } } }));
  assert.equal(envoy.request(0, { headers: { "x-service": "payments" } }).steer, "a");
  envoy.update(JSON.stringify({ control_cluster: "ballast_control", service_from: { header: "x-service" } }));
  envoy.advance(300);
  assert.equal(envoy.request(0, { headers: { "x-service": "quotes" } }).steer, "q");
});

test("a request makes one property call and one header write, and nothing else", () => {
  const { envoy, peer } = start({ workers: 1 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 100));
  const vm = envoy.workers[0]!;
  vm.calls.length = 0;
  const result = envoy.request(0, { route: "payments", headers: { "x-ballast-target": "from the client" } });
  assert.match(result.steer!, /^payments_[ab]$/);
  assert.deepEqual(vm.calls, ["proxy_get_property", "proxy_replace_header_map_value"]);
});

test("requests are left as they are without a table, when observed, and in the modes observe and passthrough", () => {
  const { envoy, peer } = start({ workers: 1 });
  settle(envoy);
  assert.equal(envoy.request(0, { route: "payments" }).writes, 0);
  const tables = set({ payments: { order: { a: 256 } }, quotes: { order: { q: 256 }, observe: true } });
  deploy(envoy, peer, 1, tables);
  assert.equal(envoy.request(0, { route: "payments" }).steer, "a");
  assert.equal(envoy.request(0, { route: "quotes" }).writes, 0);
  assert.equal(envoy.request(0, { route: "unknown" }).writes, 0);
  assert.equal(envoy.request(0, {}).writes, 0);
  for (const mode of [MODE.observe, MODE.passthrough, MODE.steer]) {
    const nonce = peer.activate(1, tables.digest, { mode });
    envoy.advance(300);
    assert.equal(peer.answer(nonce)?.ack, true);
    assert.equal(envoy.request(0, { route: "payments" }).writes, mode === MODE.steer ? 1 : 0);
  }
});

test("with `values`, the value of the picked target is written instead of its name", () => {
  const { envoy, peer } = start({ workers: 1, config: { values: { payments: { a: "0", b: "70" } } } });
  settle(envoy);
  deploy(envoy, peer, 1, set({ payments: { order: { a: 128, b: 128 } }, quotes: { order: { q: 256 } } }));
  assert.deepEqual(
    [...new Set(Array.from({ length: 20 }, () => envoy.request(0, { route: "payments" }).steer))].sort(),
    ["0", "70"],
  );
  assert.equal(envoy.request(0, { route: "quotes" }).steer, "q");
  const nonce = peer.stage(2, set({ payments: { order: { a: 128, c: 128 } } }));
  envoy.advance(300);
  assert.match(peer.answer(nonce)!.error, /^VALUE_MISSING: /);
});

test("phases start at random and differ between workers", () => {
  const firsts = new Set<string>();
  for (let seed = 1; seed <= 6; seed++) {
    const { envoy, peer } = start({ workers: 2, seed });
    settle(envoy);
    const order = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`t${i}`, 4]));
    deploy(envoy, peer, 1, set({ payments: { order } }));
    for (const worker of [0, 1]) firsts.add(envoy.request(worker, { route: "payments" }).steer!);
  }
  assert.ok(firsts.size >= 8, `${firsts.size} different first picks of 12`);
});
