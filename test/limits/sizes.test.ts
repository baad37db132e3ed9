import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeTable } from "../../control/table/codec.ts";
import { makeSet } from "../../control/table/set.ts";
import type { TableSet } from "../../control/table/table.ts";
import { deploy, settle, splitSet, start } from "../host/fixtures.ts";
import { evenSet, evenTable, manyTargets } from "./sets.ts";

for (const slots of [256, 512, 1_024, 2_048, 4_096, 8_192, 16_384]) {
  for (const targets of [1, 2, 255]) {
    test(`a table of ${targets} targets and ${slots} slots is used exactly`, () => {
      const { envoy, peer } = start({ workers: 1, config: { session_from: { cookie: "sid" } } });
      peer.tablesPerResponse = 1;
      settle(envoy);
      const table = evenTable("payments", targets, slots, 0, 128);
      deploy(envoy, peer, 1, makeSet([table]));
      const counts = new Map<string, number>();
      for (let i = 0; i < slots; i++) {
        const { steer } = envoy.request(0, { route: "payments" });
        counts.set(steer!, (counts.get(steer!) ?? 0) + 1);
        envoy.workers[0]!.calls.length = 0;
      }
      const quotas = decodeTable(table.bytes).targets.map(({ name, orderQuota }) => [name, orderQuota]);
      assert.deepEqual(Object.fromEntries(counts), Object.fromEntries(quotas));
    });
  }
}

/** Stages a set that must be refused; the one before goes on serving and the next good one is taken. */
function assertTooLarge(config: Record<string, unknown>, set: TableSet): void {
  const { envoy, peer } = start({ workers: 1, config });
  peer.tablesPerResponse = 10;
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  const staged = peer.stage(2, set);
  envoy.advance(1_000);
  const answer = peer.answer(staged);
  assert.equal(answer?.ack, false);
  assert.match(answer.error, /^SET_TOO_LARGE: /);
  assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_a");
  deploy(envoy, peer, 3, splitSet("payments", 0));
  assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_b");
}

test("a set over max_set_bytes is refused as SET_TOO_LARGE", () => {
  const set = evenSet(60, 2, 512, 0);
  const bytes = set.tables.reduce((sum, table) => sum + table.bytes.length, 0);
  assert.ok(bytes > 65_536 && bytes < 70_000);
  assertTooLarge({ max_set_bytes: 65_536 }, set);
});

test("a set of more than max_services is refused as SET_TOO_LARGE", () => {
  assertTooLarge({ max_services: 10 }, evenSet(11, 2, 256, 0));
});

test("a set of exactly max_services and just below max_set_bytes is taken", () => {
  const set = evenSet(59, 2, 512, 0);
  const bytes = set.tables.reduce((sum, table) => sum + table.bytes.length, 0);
  const { envoy, peer } = start({ workers: 1, config: { max_services: 59, max_set_bytes: Math.max(65_536, bytes) } });
  settle(envoy);
  deploy(envoy, peer, 1, set);
  assert.match(envoy.request(0, { route: "service-0058" }).steer!, /^service-0058-/);
});

test("a VM takes the memory that docs/reference/filter.md promises, and 10.8 MiB with the defaults", () => {
  const mib = (config: Record<string, number>): number => {
    const { envoy } = start({ workers: 1, config });
    settle(envoy);
    return envoy.workers[0]!.memoryBytes / (1 << 20);
  };
  assert.equal(mib({}).toFixed(1), "10.8");
  for (const max_services of [1, 1_024, 4_096]) {
    for (const max_set_bytes of [65_536, 4 << 20, 16 << 20]) {
      const promised = 1.5 + (2.25 * max_set_bytes + 300 * max_services) / (1 << 20);
      const taken = mib({ max_services, max_set_bytes });
      assert.ok(taken <= promised && taken > promised - 0.2, `${taken} of ${promised} MiB`);
    }
  }
});

test("tables of the most targets fill their allowance without a fault", () => {
  const { envoy, peer } = start({ workers: 1, config: { max_services: 64, max_set_bytes: 4 << 20 } });
  peer.tablesPerResponse = 1;
  settle(envoy);
  // 62 × 67,340 bytes are just below 4 MiB; records and values come on top.
  const set = manyTargets(62, 255, 16_384, 0, 128);
  assert.equal(set.tables.length, 62);
  peer.stage(1, set);
  envoy.advance(3_000);
  peer.activate(1, set.digest);
  envoy.advance(1_000);
  assert.deepEqual(peer.nacks, []);
  assert.match(envoy.request(0, { route: "s61" }).steer!, /^s61-/);
});
