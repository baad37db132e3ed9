import assert from "node:assert/strict";
import { test } from "node:test";
import { CapacityBook } from "../capacity/capacity-book.ts";
import { TestStore } from "../checkpoint/test-store.ts";
import { at, policy, service } from "../plan/plan.fixture.ts";
import { CapacityKeeper } from "./capacity-keeper.ts";

const estate = service("pay", { "pay-a": {} });
const services = new Map([["pay", { estate, policy: policy({ "pay-a": 1_000_000 }, {}) }]]);
const book = () =>
  new CapacityBook(services, () => ({ latencyMs: 200, errorsPpm: 10_000, quantile: 0.99, readingMs: 10_000 }));
const clock = { nowMs: () => at("07:00") };

function learn(to: CapacityBook): void {
  const health = { target: "pay-a", healthyHosts: 1, totalHosts: 1, activeRequests: 0, p50Ms: 1, errorRatio: 0 };
  for (let s = 0; s < 1_800; s++) {
    const rps = 100 + 380 * Math.abs(Math.sin(s / 400));
    const seen = { ...health, rps, intervalS: 1, p99Ms: rps > 240 ? 400 : 90 };
    to.observe({ targets: new Map([["pay-a", seen]]) }, at("06:00") + s * 1_000);
  }
}

function keeperOf(of: CapacityBook, store: Pick<TestStore, "keep" | "kept">, term: number) {
  const warnings: string[] = [];
  const log = { info: () => {}, warn: (_: object, text: string) => void warnings.push(text) };
  return { keeper: new CapacityKeeper({ book: of, store, term, clock, log, intervalMs: 1 }), warnings };
}

test("the next leader plans with what the one before it had learnt, and an old one writes nothing more", async () => {
  const store = new TestStore();
  await store.lease();
  const first = book();
  learn(first);
  const leader = keeperOf(first, store, 1);
  await leader.keeper.stop();
  await store.lease();
  const next = book();
  const successor = keeperOf(next, store, 2);
  await successor.keeper.restore();
  const [was, is] = [first.used(estate.targets[0]!, clock.nowMs()), next.used(estate.targets[0]!, clock.nowMs())];
  assert.equal(is.source, "learnt");
  assert.ok(Math.abs(is.rps / was.rps - 1) < 1e-3, `${is.rps} after ${was.rps}`);
  const kept = await store.kept("capacity/pay");
  learn(first);
  await leader.keeper.stop();
  assert.deepEqual(await store.kept("capacity/pay"), kept);
  assert.equal(leader.warnings.length, 1);
  assert.deepEqual(successor.warnings, []);
});

test("what nothing was learnt of is not written again, and a store that fails is told of once", async () => {
  const store = new TestStore();
  let writes = 0;
  let failing = true;
  const counting = {
    keep: async (...args: Parameters<TestStore["keep"]>) => {
      writes += 1;
      if (failing) throw new Error("the disk is full");
      await store.keep(...args);
    },
    kept: () => store.kept("capacity/pay"),
  };
  const learning = book();
  learn(learning);
  const { keeper, warnings } = keeperOf(learning, counting, 0);
  await keeper.stop();
  await keeper.stop();
  assert.deepEqual(warnings, ["what was learnt of capacities could not be kept"]);
  failing = false;
  keeper.start();
  while (writes < 2) await new Promise((resolve) => setImmediate(resolve));
  await keeper.stop();
  const settled = writes;
  await keeper.stop();
  assert.equal(writes, settled);
  assert.notEqual(await store.kept("capacity/pay"), null);
});

test("a text that cannot be read is a warning, and the estate's figures stand", async () => {
  const store = new TestStore();
  await store.keep("capacity/pay", '{"layout":7}', { term: 0 });
  const anew = book();
  const { keeper, warnings } = keeperOf(anew, store, 0);
  await keeper.restore();
  assert.match(warnings[0]!, /another version/);
  assert.equal(anew.used(estate.targets[0]!, clock.nowMs()).source, "estate");
});
