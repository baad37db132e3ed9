import assert from "node:assert/strict";
import { test } from "node:test";
import { AdmissionGate } from "./admission.ts";

function gate(options: { perSecond: number; burst: number; maxWaiting: number }) {
  const clock = { ms: 0 };
  const admitted: number[] = [];
  const refused: number[] = [];
  const made = new AdmissionGate<number>({
    ...options,
    admit: (item) => admitted.push(item),
    refuse: (item) => refused.push(item),
    nowMs: () => clock.ms,
  });
  return { made, clock, admitted, refused };
}

test("a burst is admitted at once, the rest in order of arrival at the rate", () => {
  const { made, clock, admitted } = gate({ perSecond: 100, burst: 3, maxWaiting: 100 });
  for (let item = 0; item < 8; item++) made.arrive(item);
  assert.deepEqual(admitted, [0, 1, 2]);
  clock.ms = 20;
  made.turn();
  assert.deepEqual(admitted, [0, 1, 2, 3, 4]);
  clock.ms = 10_000;
  made.turn();
  assert.deepEqual(admitted, [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.equal(made.waiting, 0);
  made.stop();
});

test("a quiet time saves up one burst and no more", () => {
  const { made, clock, admitted } = gate({ perSecond: 1_000, burst: 2, maxWaiting: 100 });
  clock.ms = 60_000;
  for (let item = 0; item < 5; item++) made.arrive(item);
  assert.equal(admitted.length, 2);
  made.stop();
});

test("who finds the queue full is refused, and so are all that wait when it stops", () => {
  const { made, refused } = gate({ perSecond: 1, burst: 1, maxWaiting: 2 });
  for (let item = 0; item < 4; item++) made.arrive(item);
  assert.deepEqual(refused, [3]);
  made.stop();
  assert.deepEqual(refused, [3, 1, 2]);
  made.arrive(9);
  assert.deepEqual(refused, [3, 1, 2, 9]);
});

test("thousands that wait are all admitted, once each", () => {
  const { made, clock, admitted } = gate({ perSecond: 1_000, burst: 10, maxWaiting: 10_000 });
  for (let item = 0; item < 5_000; item++) made.arrive(item);
  for (; made.waiting > 0; clock.ms += 10) made.turn();
  assert.deepEqual(
    admitted,
    Array.from({ length: 5_000 }, (_, item) => item),
  );
  made.stop();
});
