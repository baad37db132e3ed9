import assert from "node:assert/strict";
import { test } from "node:test";
import { xxh64 } from "../common/xxh64.ts";
import { LIVE_SESSIONS, liveSessionKeys, SessionCycle } from "./sessions.ts";

const hash = (text: string, seed: bigint): bigint => xxh64(Buffer.from(text), seed);

test("every slot of a 1,024-slot table has exactly one live session, with any seed", () => {
  for (const seed of [1, 2, 99]) {
    const keys = liveSessionKeys({ fleet: "demo", seed, hash });
    const slots = keys.map((key) => Number(hash(key, hash("demo", 0n)) >> 54n));
    assert.deepEqual(
      slots,
      Array.from({ length: LIVE_SESSIONS }, (_, i) => i),
    );
  }
});

test("each cycle visits every session once, in an order that differs from the one before and repeats with the seed", () => {
  const cycle = new SessionCycle(7, 64);
  const twin = new SessionCycle(7, 64);
  const take = (from: SessionCycle): number[] => Array.from({ length: 64 }, () => from.next());
  const first = take(cycle);
  const second = take(cycle);
  assert.deepEqual(new Set(first).size, 64);
  assert.deepEqual(new Set(second).size, 64);
  assert.notDeepEqual(first, second);
  assert.deepEqual(take(twin), first);
});
