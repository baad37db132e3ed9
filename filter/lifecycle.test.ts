import assert from "node:assert/strict";
import { test } from "node:test";
import type { Envoy } from "../test/host/envoy.ts";
import { CONFIGURATION, deploy, settle, splitSet, start } from "../test/host/fixtures.ts";
import type { Vm } from "../test/host/vm.ts";
import { VmKilled } from "../test/host/vm.ts";
import type { XdsPeer } from "../test/host/xds-peer.ts";

function leaderOf(peer: XdsPeer): Vm {
  return peer.stream.root.vm;
}

/** Makes the next host call of this VM a trap. */
function trap(envoy: Envoy, vm: Vm): void {
  envoy.beforeHostCall = (call) => {
    if (call.vm === vm) throw new VmKilled("killed by the test");
  };
  while (vm.running) envoy.advance(10);
  envoy.beforeHostCall = undefined;
}

test("when the leader dies another member opens the stream, and epochs go on", () => {
  const { envoy, peer } = start({ workers: 3 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  const old = leaderOf(peer);
  envoy.destroyVm(old);
  envoy.advance(3_500);
  assert.notEqual(leaderOf(peer), old);
  deploy(envoy, peer, 2, splitSet("payments", 0));
  for (const worker of envoy.workers) {
    if (worker.running) assert.equal(envoy.request(worker, { route: "payments" }).steer, "payments_b");
  }
  assert.equal(envoy.metrics.value("ballast.lease_changes"), 2);
  assert.equal(envoy.metrics.value("ballast.members"), 3);
});

test("a member that died is left out after a second, and blocks acknowledgements until then", () => {
  const { envoy, peer } = start({ workers: 3 });
  settle(envoy);
  const victim = envoy.workers.find((worker) => worker !== leaderOf(peer))!;
  envoy.destroyVm(victim);
  const nonce = peer.stage(1, splitSet("payments", 256));
  envoy.advance(700);
  assert.equal(peer.answer(nonce), undefined);
  envoy.advance(900);
  assert.equal(peer.answer(nonce)?.ack, true);
});

test("a paused member is declared dead, joins anew and adopts the active set before it counts", () => {
  const { envoy, peer } = start({ workers: 3 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  const victim = envoy.workers.find((worker) => worker !== leaderOf(peer))!;
  victim.paused = true;
  envoy.advance(2_000);
  deploy(envoy, peer, 2, splitSet("payments", 0));
  assert.equal(envoy.metrics.value("ballast.members"), 3);
  victim.paused = false;
  envoy.advance(400);
  assert.equal(envoy.request(victim, { route: "payments" }).steer, "payments_b");
  assert.equal(envoy.metrics.value("ballast.members"), 4);
  deploy(envoy, peer, 3, splitSet("payments", 256));
});

test("a paused leader that comes back finds its lease gone and ends its stream", () => {
  const { envoy, peer } = start({ workers: 3 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  const old = peer.stream;
  old.root.vm.paused = true;
  // Its stream still stands: what the server says on it waits for the paused thread.
  const two = splitSet("payments", 0);
  peer.stage(2, two);
  envoy.advance(5_000);
  assert.equal(envoy.grpc.live.length, 2);
  old.root.vm.paused = false;
  envoy.advance(300);
  assert.equal(old.ended, "cancelled");
  assert.notEqual(leaderOf(peer), old.root.vm);
  deploy(envoy, peer, 2, two);
  for (const worker of envoy.workers) assert.equal(envoy.request(worker, { route: "payments" }).steer, "payments_b");
});

test("two updates under way leave one stream, whether the old root drains late or vanishes at once", () => {
  for (const vanish of [false, true]) {
    const { envoy, peer } = start({ workers: 2 });
    settle(envoy);
    deploy(envoy, peer, 1, splitSet("payments", 256));
    for (const round of [1, 2]) {
      const olds = envoy.vms.map((vm) => vm.roots.at(-1)!);
      // An epoch is in flight.
      peer.stage(round + 1, splitSet("payments", 100 + round));
      assert.ok(envoy.update(JSON.stringify({ control_cluster: "ballast_control", max_services: 1024 })));
      assert.equal(envoy.request(0, { route: "payments" }).writes, 1);
      if (vanish) for (const root of olds) envoy.dropRoot(root);
      envoy.advance(4_000);
      assert.equal(envoy.grpc.live.length, 1);
      assert.equal(envoy.grpc.live[0]!.root, envoy.grpc.live[0]!.root.vm.roots.at(-1));
      if (!vanish) for (const root of olds) envoy.dropRoot(root);
      envoy.advance(1_500);
      deploy(envoy, peer, round + 10, splitSet("payments", 256));
    }
    assert.equal(envoy.request(1, { route: "payments" }).steer, "payments_a");
  }
});

test("when the newest root vanishes, an older one that still ticks drives the VM again", () => {
  const { envoy, peer } = start({ workers: 1 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  envoy.update(CONFIGURATION);
  envoy.advance(500);
  for (const vm of envoy.vms) envoy.dropRoot(vm.roots.at(-1)!);
  envoy.advance(6_000);
  deploy(envoy, peer, 2, splitSet("payments", 0));
  assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_b");
});

test("a refused update leaves everything as it was", () => {
  const { envoy, peer } = start({ workers: 1 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  assert.equal(envoy.update(JSON.stringify({ control_cluster: "x", unknown: 1 })), false);
  envoy.workers[0]!.configure('{"fleet": "other"}');
  envoy.advance(300);
  assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_a");
  deploy(envoy, peer, 2, splitSet("payments", 0));
});

test("a reloaded worker serves the active set from its first request on", () => {
  const { envoy, peer } = start({ workers: 2 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  const victim = envoy.workers.find((worker) => worker !== leaderOf(peer))!;
  trap(envoy, victim);
  envoy.advance(1_000);
  const fresh = envoy.reload(victim);
  assert.equal(envoy.request(fresh, { route: "payments" }).steer, "payments_a");
  envoy.advance(15_000);
  deploy(envoy, peer, 2, splitSet("payments", 0));
  assert.equal(envoy.request(fresh, { route: "payments" }).steer, "payments_b");
  assert.equal(envoy.metrics.value("ballast.seed_quarantined"), 0);
});

for (const when of ["while seeding", "at its first request", "after some ticks"] as const) {
  test(`a VM that trapped ${when} starts empty at the next attempt, until another epoch`, () => {
    const { envoy, peer } = start({ workers: 2 });
    settle(envoy);
    const one = splitSet("payments", 256);
    deploy(envoy, peer, 1, one);
    const victim = envoy.workers.find((worker) => worker !== leaderOf(peer))!;
    trap(envoy, victim);
    envoy.advance(1_000);
    let calls = 0;
    if (when === "while seeding") {
      envoy.beforeHostCall = ({ name, callback }) => {
        if (callback === "proxy_on_configure" && name === "proxy_get_shared_data" && ++calls === 5) {
          throw new VmKilled("poison");
        }
      };
    }
    const second = envoy.reload(victim);
    if (when === "at its first request") {
      // The write of the header comes after the note in shared data: the pick traps.
      envoy.beforeHostCall = ({ vm, name }) => {
        if (vm === second && name === "proxy_replace_header_map_value") throw new VmKilled("poison");
      };
      envoy.request(second, { route: "payments" });
    }
    if (when === "after some ticks") {
      envoy.advance(700);
      trap(envoy, second);
    }
    envoy.beforeHostCall = undefined;
    assert.equal(second.running, false);
    envoy.advance(1_000);
    const third = envoy.reload(second);
    assert.equal(envoy.request(third, { route: "payments" }).writes, 0);
    assert.ok(third.logs.some(({ text }) => text.includes("SEED_QUARANTINED")));
    envoy.advance(3_000);
    assert.equal(envoy.request(third, { route: "payments" }).writes, 0);
    assert.equal(envoy.metrics.value("ballast.seed_quarantined"), 1);
    // The server hears of it when it asks again.
    const nonce = peer.activate(1, one.digest);
    envoy.advance(200);
    assert.match(peer.answer(nonce)!.error, /^SEED_QUARANTINED: /);
    deploy(envoy, peer, 2, splitSet("payments", 0));
    assert.equal(envoy.request(third, { route: "payments" }).steer, "payments_b");
    envoy.advance(200);
    assert.equal(envoy.metrics.value("ballast.seed_quarantined"), 0);
  });
}

test("canaries, and trapping for other reasons after 100 good ticks, quarantine nothing", () => {
  const { envoy, peer } = start({ workers: 2 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  for (let i = 0; i < 3; i++) {
    assert.ok(envoy.tryCanary(CONFIGURATION));
    envoy.advance(2_000);
  }
  for (let i = 0; i < 3; i++) {
    const victim = envoy.workers[0]!;
    trap(envoy, victim);
    envoy.advance(1_200);
    const fresh = envoy.reload(victim);
    assert.equal(envoy.request(fresh, { route: "payments" }).steer, "payments_a", `reload ${i}`);
    envoy.advance(12_000);
  }
});

test("an Envoy whose VMs are all replaced finds its sets in shared data", () => {
  const { envoy, peer } = start({ workers: 2 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  const old = envoy.workers.splice(0, 2);
  for (const [i] of old.entries()) {
    const fresh = envoy.newVm(`new-${i}`);
    envoy.workers.push(fresh);
    fresh.configure(CONFIGURATION);
    assert.equal(envoy.request(fresh, { route: "payments" }).steer, "payments_a");
  }
  for (const vm of old) envoy.destroyVm(vm);
  envoy.advance(4_000);
  deploy(envoy, peer, 2, splitSet("payments", 0));
  for (const worker of envoy.workers) assert.equal(envoy.request(worker, { route: "payments" }).steer, "payments_b");
});

test("faults of the host's calls delay, but never trap and never acknowledge what is not held", () => {
  for (let seed = 1; seed <= 8; seed++) {
    const { envoy, peer } = start({ workers: 3, seed });
    settle(envoy);
    const FAULTY = new Set(["proxy_get_shared_data", "proxy_set_shared_data", "proxy_enqueue_shared_queue"]);
    const random = envoy.random;
    envoy.fault = ({ name }) =>
      FAULTY.has(name) && random.below(10) === 0 ? (random.below(2) === 0 ? 8 : 10) : undefined;
    const tables = splitSet("payments", 256);
    for (let i = 0; i < 20 && peer.requests.every(({ message }) => message.versionInfo === ""); i++) {
      if (envoy.grpc.live.length === 1) peer.stage(1, tables);
      envoy.advance(500);
    }
    envoy.fault = undefined;
    envoy.advance(3_000);
    for (const vm of envoy.vms) assert.equal(vm.trapped, undefined);
    deploy(envoy, peer, 2, splitSet("payments", 0));
    for (const worker of envoy.workers) assert.equal(envoy.request(worker, { route: "payments" }).steer, "payments_b");
  }
});
