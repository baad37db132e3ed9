import assert from "node:assert/strict";
import { test } from "node:test";
import type { Envoy } from "../test/host/envoy.ts";
import { CONFIGURATION, deploy, settle, splitSet, start } from "../test/host/fixtures.ts";

// Two configurations in one vm_id. Envoy tells filters apart by the plugin's name and root_id.
const ONE = { name: "ballast", rootId: "" };
const TWO = { name: "ballast-second", rootId: "" };
const OTHER = JSON.stringify({ control_cluster: "ballast_control", session_from: { header: "x-session" } });
const EXPLAINED = /config refused at byte \d+: vm_id in use: take another/;

const steer = (envoy: Envoy, headers = {}) => envoy.request(0, { route: "payments", headers }).steer;

test("a second filter with other settings is refused and told what to do; the first goes on", () => {
  for (const plugin of [TWO, { name: "ballast", rootId: "second" }]) {
    const { envoy, peer } = start({ workers: 2 });
    settle(envoy);
    deploy(envoy, peer, 1, splitSet("payments", 256));
    assert.equal(envoy.update(OTHER, plugin), false);
    assert.equal(envoy.canaryLogs.length, 1);
    assert.match(envoy.canaryLogs[0]!, EXPLAINED);
    assert.equal(steer(envoy), "payments_a");
    deploy(envoy, peer, 2, splitSet("payments", 0));
    assert.equal(envoy.metrics.value("ballast.config_clash"), 0);
  }
});

test("it is refused in one bootstrap as well, before any worker ticked", () => {
  const { envoy } = start({ workers: 0 });
  assert.equal(envoy.tryCanary(OTHER, TWO), false);
  assert.match(envoy.canaryLogs[0]!, EXPLAINED);
  assert.equal(envoy.tryCanary(OTHER, ONE), true);
});

test("the same filter with other settings is an update of it", () => {
  const { envoy, peer } = start({ workers: 2 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  const olds = envoy.vms.map((vm) => vm.roots.at(-1)!);
  assert.ok(envoy.update(OTHER, ONE));
  envoy.advance(300);
  // While the old root drains both live.
  assert.ok(envoy.metrics.value("ballast.config_clash") > 0);
  for (const root of olds) envoy.dropRoot(root);
  envoy.advance(1_500);
  assert.equal(envoy.metrics.value("ballast.config_clash"), 0);
  deploy(envoy, peer, 2, splitSet("payments", 0));
  assert.equal(steer(envoy), "payments_b");
});

test("filters that share their settings share the VM, and are updated one after the other", () => {
  const { envoy, peer } = start({ workers: 2 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  const ones = envoy.vms.map((vm) => vm.roots.at(-1)!);
  assert.ok(envoy.update(CONFIGURATION, TWO));
  const twos = envoy.vms.map((vm) => vm.roots.at(-1)!);
  envoy.advance(2_000);
  assert.equal(envoy.metrics.value("ballast.config_clash"), 0);
  assert.equal(envoy.grpc.live.length, 1);

  assert.ok(envoy.update(OTHER, TWO));
  for (const root of twos) envoy.dropRoot(root);
  envoy.advance(2_000);
  assert.ok(envoy.metrics.value("ballast.config_clash") > 0, "for as long as they differ");
  assert.ok(envoy.update(OTHER, ONE));
  for (const root of ones) envoy.dropRoot(root);
  envoy.advance(2_000);
  assert.equal(envoy.metrics.value("ballast.config_clash"), 0);
  deploy(envoy, peer, 2, splitSet("payments", 0));
});

test("the place of a filter that is gone is free after ten seconds", () => {
  const { envoy, peer } = start({ workers: 1 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  for (const vm of envoy.vms) envoy.dropRoot(vm.roots.at(-1)!);
  envoy.advance(5_000);
  assert.equal(envoy.tryCanary(OTHER, TWO), false);
  envoy.advance(6_000);
  assert.ok(envoy.update(OTHER, TWO));
  envoy.advance(4_000);
  deploy(envoy, peer, 2, splitSet("payments", 0));
  assert.equal(steer(envoy), "payments_b");
});

test("a worker that is reloaded is never refused, whoever else lives there", () => {
  const { envoy, peer } = start({ workers: 2 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  // One shares, and then both clash by an update of one of them.
  assert.ok(envoy.update(CONFIGURATION, TWO));
  assert.ok(envoy.update(OTHER, TWO));
  envoy.advance(11_000);
  const victim = envoy.workers[0]!;
  envoy.destroyVm(victim);
  const fresh = envoy.newVm("fresh");
  envoy.workers[0] = fresh;
  for (const [configuration, plugin] of [
    [CONFIGURATION, ONE],
    [OTHER, TWO],
  ] as const) {
    assert.equal(fresh.configure(configuration, plugin).accepted, true);
  }
  assert.equal(steer(envoy), "payments_a");
});

test("shared data that fails refuses nobody", () => {
  const { envoy } = start({ workers: 1 });
  settle(envoy);
  envoy.fault = ({ name }) => (name.endsWith("_shared_data") ? 10 : undefined);
  assert.ok(envoy.tryCanary(OTHER, TWO));
});

test("however many old roots drain, the newest drives: one stream, and none is begun anew", () => {
  const { envoy, peer } = start({ workers: 1 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  for (let i = 0; i < 15; i++) {
    const session_from = { cookie: `sid${i}` };
    assert.ok(envoy.update(JSON.stringify({ control_cluster: "ballast_control", session_from })));
    envoy.advance(1_500);
  }
  const { stream } = peer;
  assert.equal(stream.root, stream.root.vm.roots.at(-1));
  envoy.advance(10_000);
  assert.equal(peer.stream, stream);
  assert.equal(stream.ended, undefined);
  deploy(envoy, peer, 2, splitSet("payments", 0));
});
