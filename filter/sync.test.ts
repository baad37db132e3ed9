import assert from "node:assert/strict";
import { test } from "node:test";
import { digestHex } from "../common/xxh64.ts";
import { deploy, set, settle, splitSet, start } from "../test/host/fixtures.ts";
import { MODE } from "../test/host/xds-peer.ts";

for (const workers of [1, 2, 3, 4]) {
  test(`stage, activate and acknowledge with ${workers} workers over one stream`, () => {
    const { envoy, peer } = start({ workers });
    settle(envoy);
    const first = splitSet("payments", 192);
    const staged = peer.stage(1, first);
    envoy.advance(50);
    assert.deepEqual(peer.answer(staged), { ack: true, version: `1-${digestHex(first.digest)}`, error: "" });
    for (const worker of envoy.workers) assert.equal(envoy.request(worker, { route: "payments" }).writes, 0);
    const activated = peer.activate(1, first.digest);
    envoy.advance(50);
    assert.deepEqual(peer.answer(activated), { ack: true, version: `1-${digestHex(first.digest)}`, error: "" });
    for (const worker of envoy.workers) assert.match(envoy.request(worker, { route: "payments" }).steer!, /^payments_/);
    assert.equal(envoy.grpc.streams.length, 1);
    envoy.advance(200);
    assert.equal(envoy.metrics.value("ballast.members"), workers + 1);
    assert.equal(envoy.metrics.value("ballast.epoch_active"), 1);
    assert.equal(envoy.metrics.value("ballast.requests_steered"), workers);
    assert.equal(envoy.metrics.value("ballast.requests_passed"), workers);
    assert.equal(envoy.metrics.value("ballast.stream_up"), 1);
    assert.ok(envoy.shared.longestQueue <= 1);
  });
}

test("the first requests name node, fleet, agent and instance, and hold nothing", () => {
  const { envoy, peer } = start({ config: { fleet: "trading", node: "edge-7" } });
  settle(envoy);
  assert.deepEqual(
    peer.requests.map(({ kind, message }) => [kind, message.versionInfo, message.resourceNames, message.node?.id]),
    [
      ["Stage", "", ["trading"], "edge-7"],
      ["Activation", "", ["trading"], "edge-7"],
    ],
  );
  const { stream } = peer;
  assert.equal(stream.cluster, "ballast_control");
  assert.equal(stream.path, "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources");
  const node = peer.requests[0]!.message.node!;
  assert.equal(node.cluster, "trading");
  assert.equal(node.userAgentName, "ballast-filter");
  assert.match(node.userAgentVersion, /^\d+\.\d+\.\d+\/1\/[0-9a-f]{16}$/);
});

test("without a node there is no subscription, and a gauge says so", () => {
  const { envoy, peer } = start({ node: { id: "", cluster: "" } });
  settle(envoy);
  assert.equal(peer.requests.length, 0);
  assert.equal(envoy.metrics.value("ballast.unsubscribed"), 1);
});

test("nothing is acknowledged before the membership was unchanged for a second", () => {
  const { envoy, peer } = start({ workers: 2 });
  envoy.advance(300);
  const tables = splitSet("payments", 100);
  const nonce = peer.stage(1, tables);
  envoy.advance(500);
  assert.equal(peer.answer(nonce), undefined);
  envoy.advance(1_000);
  assert.equal(peer.answer(nonce)?.ack, true);
});

test("only tables that are not held are asked for, and a rollback asks for none", () => {
  const { envoy, peer } = start();
  settle(envoy);
  const spec = (a: number) => ({ order: { a, b: 256 - a } });
  const one = set({ payments: spec(10), quotes: spec(20) });
  const two = set({ payments: spec(30), quotes: spec(20) });
  const asked = () =>
    peer.requests.filter(({ kind, message }) => kind === "WeightTable" && message.responseNonce === "").length;
  const names = () => {
    const all = new Set<string>();
    for (const { kind, message } of peer.requests)
      if (kind === "WeightTable") for (const n of message.resourceNames) all.add(n);
    return all;
  };
  deploy(envoy, peer, 1, one);
  assert.equal(asked(), 1);
  assert.equal(names().size, 2);
  deploy(envoy, peer, 2, two);
  assert.equal(names().size, 3);
  const before = peer.requests.length;
  deploy(envoy, peer, 3, one);
  assert.deepEqual(
    peer.requests.slice(before).map(({ kind }) => kind),
    ["Stage", "Activation"],
  );
  assert.match(envoy.request(0, { route: "payments" }).steer!, /^[ab]$/);
});

test("the last three sets are kept: a return to one of them needs no table, an older one is fetched again", () => {
  const { envoy, peer } = start();
  settle(envoy);
  const [one, two, three, four] = [10, 20, 30, 40].map((a) => splitSet("payments", a));
  const fetches = (epoch: number, tables: typeof one): number => {
    peer.forgetSent();
    const before = peer.requests.length;
    deploy(envoy, peer, epoch, tables!);
    return peer.requests
      .slice(before)
      .filter(({ kind, message }) => kind === "WeightTable" && message.resourceNames.length > 0).length;
  };
  for (const [i, tables] of [one, two, three].entries()) assert.ok(fetches(i + 1, tables) > 0);
  assert.equal(fetches(4, one), 0);
  // In force and before: four, one, three.
  assert.ok(fetches(5, four) > 0);
  assert.equal(fetches(6, three), 0);
  assert.ok(fetches(7, two) > 0);
});

test("an activation before its stage waits for it", () => {
  const { envoy, peer } = start();
  settle(envoy);
  const tables = splitSet("payments", 256);
  const activated = peer.activate(1, tables.digest);
  envoy.advance(1_000);
  assert.equal(peer.answer(activated), undefined);
  const staged = peer.stage(1, tables);
  envoy.advance(200);
  assert.equal(peer.answer(staged)?.ack, true);
  assert.equal(peer.answer(activated)?.ack, true);
  assert.equal(envoy.request(1, { route: "payments" }).steer, "payments_a");
});

test("an activation whose set never comes is refused after its deadline", () => {
  const { envoy, peer } = start();
  settle(envoy);
  const nonce = peer.activate(7, 0x1234n);
  envoy.advance(29_000);
  assert.equal(peer.answer(nonce), undefined);
  envoy.advance(2_000);
  assert.match(peer.answer(nonce)!.error, /^SET_UNKNOWN: 7-0000000000001234$/);
});

test("a lower epoch or term and a second digest for a known epoch are refused", () => {
  const { envoy, peer } = start();
  settle(envoy);
  const one = splitSet("payments", 10);
  const two = splitSet("payments", 20);
  deploy(envoy, peer, 5, one, 3);
  const refuse = (nonce: string, error: RegExp) => {
    envoy.advance(300);
    assert.match(peer.answer(nonce)!.error, error);
    assert.equal(peer.answer(nonce)!.version, `5-${digestHex(one.digest)}`);
  };
  refuse(peer.stage(5, two, { term: 3 }), /^EPOCH_REUSED: /);
  refuse(peer.stage(4, two, { term: 3 }), /^EPOCH_STALE: /);
  refuse(peer.stage(6, two, { term: 2 }), /^EPOCH_STALE: /);
  refuse(peer.activate(4, two.digest, { term: 3 }), /^EPOCH_STALE: /);
  refuse(peer.activate(5, two.digest, { term: 3 }), /^EPOCH_REUSED: /);
  refuse(peer.activate(5, one.digest, { term: 3, mode: 0 as never }), /^MODE_UNKNOWN: /);
  deploy(envoy, peer, 6, two, 3);
});

test("an aborted epoch keeps its digest for ever, and what serves goes on", () => {
  const { envoy, peer } = start();
  settle(envoy);
  const one = splitSet("payments", 256);
  deploy(envoy, peer, 1, one);
  const aborted = peer.stage(2, splitSet("payments", 0));
  envoy.advance(200);
  assert.equal(peer.answer(aborted)?.ack, true);
  const reused = peer.stage(2, splitSet("payments", 7));
  envoy.advance(200);
  assert.match(peer.answer(reused)!.error, /^EPOCH_REUSED: /);
  // The server goes back to the committed set.
  const again = peer.stage(1, one);
  envoy.advance(200);
  assert.equal(peer.answer(again)?.ack, true);
  assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_a");
});

test("the stream comes back by itself, and claims what the Envoy holds", () => {
  const { envoy, peer } = start();
  settle(envoy);
  const one = splitSet("payments", 256);
  deploy(envoy, peer, 1, one);
  envoy.grpc.closeByPeer(peer.stream, 14);
  envoy.grpc.reachable = false;
  envoy.advance(20_000);
  assert.equal(envoy.metrics.value("ballast.stream_up"), 0);
  assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_a");
  envoy.grpc.reachable = true;
  const before = peer.requests.length;
  envoy.advance(8_000);
  const version = `1-${digestHex(one.digest)}`;
  assert.deepEqual(
    peer.requests.slice(before).map(({ kind, message }) => [kind, message.versionInfo, message.responseNonce]),
    [
      ["Stage", version, ""],
      ["Activation", version, ""],
    ],
  );
  assert.ok(envoy.metrics.value("ballast.reconnects")! >= 3);
  deploy(envoy, peer, 2, splitSet("payments", 0));
  assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_b");
});

test("a set of 1,000 services is handed over in bounded parts", () => {
  const { envoy, peer } = start({ workers: 2 });
  settle(envoy);
  const many = set(
    Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`service-${i}`, { order: { [`a${i}`]: 200, b: 56 } }])),
  );
  peer.tablesPerResponse = 50;
  const perCallback: number[] = [];
  let reads = 0;
  envoy.beforeHostCall = ({ name, callback }) => {
    if (name === "proxy_get_shared_data" && callback === "proxy_on_queue_ready") reads++;
    if (name === "proxy_dequeue_shared_queue") {
      perCallback.push(reads);
      reads = 0;
    }
  };
  deploy(envoy, peer, 1, many);
  assert.ok(Math.max(...perCallback) < 200, `${Math.max(...perCallback)} reads in one callback`);
  for (const i of [0, 500, 999]) assert.match(envoy.request(1, { route: `service-${i}` }).steer!, /^(a\d+|b)$/);
});

test("mode and epoch change without a new stage", () => {
  const { envoy, peer } = start();
  settle(envoy);
  const one = splitSet("payments", 256);
  deploy(envoy, peer, 1, one);
  const nonce = peer.activate(1, one.digest, { mode: MODE.passthrough, term: 2 });
  envoy.advance(50);
  assert.equal(peer.answer(nonce)?.ack, true);
  assert.equal(envoy.request(0, { route: "payments" }).writes, 0);
});
