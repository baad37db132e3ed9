import assert from "node:assert/strict";
import { test } from "node:test";
import { buildTable, type TableInput } from "./build.ts";
import { decodeTable } from "./codec.ts";
import type { WeightTable } from "./table.ts";

function build(change: Partial<TableInput>, shares: Record<string, number | [base: number, share: number]>) {
  return buildTable({
    service: "payments",
    observe: false,
    slots: 1024,
    previous: null,
    targets: Object.entries(shares).map(([name, share]) => {
      const [basePpm, ppm] = typeof share === "number" ? [share, share] : share;
      return { name, basePpm, weightPpm: ppm, stickyPpm: ppm, draining: false };
    }),
    ...change,
  });
}

test("the order in which a plan lists the targets does not change the bytes", () => {
  const a = build({}, { "site-a": 600_000, "site-b": 400_000 });
  const b = build({}, { "site-b": 400_000, "site-a": 600_000 });
  assert.deepEqual(a.encoded.bytes, b.encoded.bytes);
});

test("the next table after a restart is the same as without one", () => {
  const first = build({}, { "site-a": [600_000, 500_000], "site-b": [400_000, 500_000] });
  const kept = build({ previous: first.table }, { "site-a": 600_000, "site-b": 400_000 });
  const restarted = build({ previous: decodeTable(first.encoded.bytes) }, { "site-a": 600_000, "site-b": 400_000 });
  assert.equal(kept.encoded.digest, restarted.encoded.digest);
  assert.equal(kept.slotsMoved, kept.slotsMinMoved);
  assert.ok(kept.slotsMoved > 0);
});

test("a full drain and a stepwise return end in the very bytes of the base table", () => {
  const base = build({}, { "site-a": 600_000, "site-b": 400_000 });
  let table: WeightTable = base.table;
  let moved = 0;
  for (const away of [400_000, 300_000, 100_000, 0]) {
    const built = build(
      { previous: table },
      { "site-a": [600_000, 600_000 + away], "site-b": [400_000, 400_000 - away] },
    );
    assert.equal(built.slotsMoved, built.slotsMinMoved);
    moved += built.slotsMoved;
    table = built.table;
  }
  assert.equal(moved, 2 * base.table.targets[1]!.stickyQuota);
  assert.deepEqual(table, base.table);
});

test("a target that joins and one that leaves move only the slots they must", () => {
  const two = build({}, { a: 500_000, c: 500_000 });
  const three = build({ previous: two.table }, { a: 400_000, b: 200_000, c: 400_000 });
  assert.equal(three.slotsMoved, three.slotsMinMoved);
  assert.equal(three.slotsMoved, three.table.targets[1]!.stickyQuota);
  const left = build({ previous: three.table }, { b: 500_000, c: 500_000 });
  assert.equal(left.slotsMoved, left.slotsMinMoved);
  assert.equal(left.slotsMinMoved, three.table.targets[0]!.stickyQuota);
});

test("more slots for the same shares move no session, fewer slots are refused", () => {
  const small = build({ slots: 256 }, { a: 500_000, b: 250_000, c: 250_000 });
  const large = build({ slots: 1024, previous: small.table }, { a: 500_000, b: 250_000, c: 250_000 });
  assert.equal(large.slotsMoved, 0);
  assert.equal(large.table.sticky.length, 1024);
  assert.throws(() => build({ slots: 256, previous: large.table }, { a: 500_000, b: 500_000 }), {
    code: "TABLE_WEIGHTS_INVALID",
  });
});

test("order and session quotas differ while a target drains", () => {
  const built = buildTable({
    service: "payments",
    observe: false,
    slots: 1024,
    previous: null,
    targets: [
      { name: "a", basePpm: 600_000, weightPpm: 1_000_000, stickyPpm: 600_000, draining: false },
      { name: "b", basePpm: 400_000, weightPpm: 0, stickyPpm: 400_000, draining: true },
    ],
  });
  assert.deepEqual(
    built.table.targets.map((t) => [t.orderQuota, t.stickyQuota, t.draining]),
    [
      [1024, 614, false],
      [0, 410, true],
    ],
  );
  assert.ok(built.quantisationPpm > 0 && built.quantisationPpm < 1_000);
});

test("a wrong column of shares is named with its service", () => {
  assert.throws(() => build({}, { a: 500_000, b: 499_999 }), /TABLE_WEIGHTS_INVALID: payments, weights: .*999999 ppm/);
});
