import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ServiceQueue } from "./service-queue.ts";

test("a queue under constant overload answers exactly its capacity", () => {
  fc.assert(
    fc.property(fc.integer({ min: 20, max: 500 }), fc.integer({ min: 2, max: 5 }), (capacityRps, overload) => {
      const queue = new ServiceQueue({ capacityRps });
      const seconds = 10;
      const offered = capacityRps * overload * seconds;
      let answered = 0;
      for (let i = 0; i < offered; i++) {
        const endMs = queue.admit((i * 1000 * seconds) / offered);
        if (endMs !== null && endMs <= seconds * 1000) answered++;
      }
      assert.ok(
        Math.abs(answered / seconds - capacityRps) <= 0.02 * capacityRps + 1,
        `${answered / seconds} of ${capacityRps}`,
      );
    }),
    { numRuns: 20 },
  );
});

test("below capacity evenly spaced requests never wait", () => {
  const queue = new ServiceQueue({ capacityRps: 100 });
  for (let i = 0; i < 1000; i++) assert.equal(queue.admit(i * 10.1), i * 10.1 + queue.serviceMs);
});

test("past capacity the wait climbs until requests are refused, and after a pause it is as before", () => {
  const queue = new ServiceQueue({ capacityRps: 100, maxWaitMs: 500 });
  const waits: (number | null)[] = [];
  for (let i = 0; i < 400; i++) waits.push(queue.admit(0));
  const answered = waits.filter((end) => end !== null);
  assert.deepEqual(
    answered,
    [...answered].sort((a, b) => a - b),
  );
  assert.ok(waits.includes(null));
  assert.ok(Math.max(...answered) <= 500 + queue.serviceMs);
  assert.equal(queue.admit(10_000), 10_000 + queue.serviceMs);
});
