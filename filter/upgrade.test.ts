import assert from "node:assert/strict";
import { test } from "node:test";
import { CONFIGURATION, deploy, settle, splitSet, start } from "../test/host/fixtures.ts";
import { otherLayout } from "../test/host/other-layout.ts";
import { Vm } from "../test/host/vm.ts";

const next = await WebAssembly.compile(otherLayout());

test("a module of another layout comes into the same vm_id while the old VMs live: neither disturbs the other", () => {
  const { envoy, peer } = start({ workers: 2 });
  settle(envoy);
  const one = splitSet("payments", 256);
  deploy(envoy, peer, 1, one);
  const olds = [...envoy.vms];
  const oldStream = peer.stream;

  // An update of the listener: other code is another VM, with the same vm_id and so the same shared data.
  const fresh = ["main", "worker-0", "worker-1"].map(
    (name) => new Vm(envoy, next, { name: `${name}*`, vmId: "ballast" }),
  );
  for (const vm of fresh) {
    const { root, accepted } = vm.configure(CONFIGURATION);
    assert.ok(accepted);
    root.nextTickNs += BigInt(envoy.workers.push(vm)) * 5_000_000n;
  }
  // Nothing of the old layout is taken for its own.
  assert.equal(envoy.request(fresh[1]!, { route: "payments" }).writes, 0);
  envoy.advance(1_500);
  const newStream = envoy.grpc.live.find((stream) => stream !== oldStream)!;
  assert.equal(envoy.grpc.live.length, 2);
  assert.notEqual(newStream.root.vm, oldStream.root.vm);

  // As the server does with a new stream: the set in force. Then an epoch for both.
  const serve = (epoch: number, set: typeof one, streams: (typeof newStream)[]): void => {
    for (const stream of streams) peer.stage(epoch, set, { stream });
    envoy.advance(400);
    for (const stream of streams) peer.activate(epoch, set.digest, { stream });
    envoy.advance(400);
  };
  serve(1, one, [newStream]);
  for (const vm of fresh) assert.equal(envoy.request(vm, { route: "payments" }).steer, "payments_a");
  serve(2, splitSet("payments", 0), [oldStream, newStream]);
  assert.deepEqual(peer.nacks, []);
  for (const vm of envoy.vms) assert.equal(envoy.request(vm, { route: "payments" }).steer, "payments_b", vm.name);

  // The old listener has drained.
  for (const vm of olds) envoy.destroyVm(vm);
  envoy.advance(2_000);
  assert.deepEqual(envoy.grpc.live, [newStream]);
  deploy(envoy, peer, 3, splitSet("payments", 256));
  for (const vm of fresh) assert.equal(envoy.request(vm, { route: "payments" }).steer, "payments_a");
  assert.equal(envoy.metrics.value("ballast.members"), 3);
});
