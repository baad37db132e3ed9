import assert from "node:assert/strict";
import { test } from "node:test";
import { Ended, NativeGate } from "./native-gate.ts";

const gate = (): [owner: NativeGate, worker: NativeGate] => {
  const memory = new SharedArrayBuffer(NativeGate.BYTES);
  return [new NativeGate(memory), new NativeGate(memory)];
};

test("a worker outside of native calls may be terminated, and makes none any more", async () => {
  const [owner, worker] = gate();
  assert.equal(await worker.pass(async () => 7), 7);
  assert.equal(owner.end(), false);
  let called = false;
  await assert.rejects(
    worker.pass(async () => {
      called = true;
    }),
    Ended,
  );
  assert.ok(!called);
});

test("a worker inside a native call must not be terminated, and learns of its end when the call returns or fails", async () => {
  for (const failing of [false, true]) {
    const [owner, worker] = gate();
    const call = Promise.withResolvers<number>();
    const passing = worker.pass(() => call.promise);
    assert.equal(owner.end(), true);
    if (failing) call.reject(new Error("of the call"));
    else call.resolve(7);
    await assert.rejects(passing, Ended);
  }
});

test("a call that fails leaves the gate open", async () => {
  const [owner, worker] = gate();
  await assert.rejects(
    worker.pass(() => Promise.reject(new Error("of the call"))),
    /of the call/,
  );
  assert.equal(await worker.pass(async () => 7), 7);
  assert.equal(owner.end(), false);
});
