import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { xxh64 } from "../../common/xxh64.ts";
import { sharesOf, slotCounts } from "./arbitraries.ts";
import { buildTable } from "./build.ts";
import { decodeTable, encodeTable, type TableError, tableDigest } from "./codec.ts";
import { MAX_TABLE_BYTES } from "./limits.ts";
import { makeSet, setDigest } from "./set.ts";
import type { WeightTable } from "./table.ts";

const tables = fc.tuple(fc.integer({ min: 1, max: 9 }), slotCounts, fc.boolean()).chain(([n, slots, observe]) =>
  fc.tuple(sharesOf(n), sharesOf(n), sharesOf(n), fc.nat()).map(([base, weight, sticky, bits]) =>
    buildTable({
      service: "payments",
      observe,
      slots,
      targets: base.map((basePpm, i) => ({
        name: `site-${i}`,
        basePpm,
        weightPpm: weight[i]!,
        stickyPpm: sticky[i]!,
        draining: ((bits >> i) & 1) === 1,
      })),
      previous: null,
    }),
  ),
);

test("a table survives the round trip through bytes", () => {
  fc.assert(
    fc.property(tables, ({ table, encoded }) => {
      assert.deepEqual(decodeTable(encoded.bytes), table);
      assert.equal(tableDigest(encoded.bytes), encoded.digest);
    }),
  );
});

test("any flipped byte is refused", () => {
  fc.assert(
    fc.property(tables, fc.nat(), fc.integer({ min: 1, max: 255 }), ({ encoded }, at, mask) => {
      const bytes = encoded.bytes.slice();
      bytes[at % bytes.length]! ^= mask;
      assert.throws(() => decodeTable(bytes), { code: "TABLE_INVALID" });
    }),
  );
});

test("every single flipped byte of one table is refused, and every shorter or longer piece of it", () => {
  const { bytes } = sample();
  for (let at = 0; at < bytes.length; at++) {
    const flipped = bytes.slice();
    flipped[at]! ^= 0x10;
    assert.throws(() => decodeTable(flipped), { code: "TABLE_INVALID" }, `byte ${at}`);
    assert.throws(() => decodeTable(bytes.subarray(0, at)), { code: "TABLE_INVALID" }, `length ${at}`);
  }
  assert.throws(() => decodeTable(new Uint8Array([...bytes, 0])), { code: "TABLE_INVALID" });
});

test("the layout is the documented one, byte for byte", () => {
  const { bytes } = sample();
  const text = (from: number, to: number) => Buffer.from(bytes.subarray(from, to)).toString("latin1");
  const view = Buffer.from(bytes);
  assert.equal(text(0, 4), "BLT1");
  assert.equal(view.readUInt16LE(4), 1);
  assert.equal(view.readUInt16LE(6), 0);
  assert.equal(view.readUInt16LE(8), 256);
  assert.equal(view.readUInt16LE(10), 2);
  assert.equal(view.readUInt32LE(12), bytes.length);
  assert.equal(view.readUInt16LE(24), 3);
  assert.equal(text(26, 29), "pay");
  assert.equal(view.readUInt16LE(29), 1);
  assert.equal(text(31, 32), "a");
  assert.equal(view.readUInt16LE(32), 192);
  assert.equal(view.readUInt16LE(34), 64);
  assert.equal(bytes[36], 0);
  assert.equal(text(39, 40), "b");
  assert.equal(bytes[44], 1);
  assert.equal(bytes.length, 45 + 512);
  const zeroed = Buffer.from(bytes);
  zeroed.fill(0, 16, 24);
  assert.equal(view.readBigUInt64LE(16), xxh64(zeroed));
});

/** Bytes with a valid digest whose content breaks one rule: only the rule itself can refuse them. */
function forged(change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(sample().bytes);
  change(bytes);
  bytes.writeBigUInt64LE(tableDigest(bytes), 16);
  return bytes;
}

test("content that breaks a rule is refused although its digest is right, with the fault and the place", () => {
  const cases: [string, (b: Buffer) => void][] = [
    ["flags", (b) => b.writeUInt16LE(2, 6)],
    ["slots", (b) => b.writeUInt16LE(257, 8)],
    ["slots", (b) => b.writeUInt16LE(128, 8)],
    ["targets", (b) => b.writeUInt16LE(0, 10)],
    ["targets", (b) => b.writeUInt16LE(256, 10)],
    ["name", (b) => b.writeUInt16LE(0, 24)],
    ["length", (b) => b.writeUInt16LE(65_535, 24)],
    ["name", (b) => b.write("\n", 31)],
    ["name", (b) => b.write(" ", 31)],
    ["duplicate", (b) => b.write("b", 31)],
    ["quota", (b) => b.writeUInt16LE(191, 32)],
    ["quota", (b) => b.writeUInt16LE(63, 34)],
    ["flags", (b) => b.writeUInt8(2, 36)],
    ["index", (b) => b.writeUInt8(2, b.length - 1)],
    ["quota", (b) => b.writeUInt8(1 - b.readUInt8(b.length - 1), b.length - 1)],
    ["quota", (b) => b.writeUInt8(1 - b.readUInt8(45), 45)],
  ];
  for (const [fault, change] of cases) {
    assert.throws(
      () => decodeTable(forged(change)),
      (error: TableError) => error.code === "TABLE_INVALID" && error.fault === fault && error.offset !== undefined,
      `${fault}: ${change}`,
    );
  }
});

test("the producer refuses what a reader would refuse", () => {
  const good = decodeTable(sample().bytes);
  const wrong: Partial<WeightTable>[] = [
    { service: "" },
    { service: "a\nb" },
    { service: "x".repeat(129) },
    { slots: 300 },
    { targets: [] },
    { targets: [good.targets[0]!, good.targets[0]!] },
    { targets: [{ ...good.targets[0]!, orderQuota: Number.NaN }, good.targets[1]!] },
    { sticky: good.sticky.subarray(1) },
    { order: good.order.map(() => 0) },
  ];
  for (const change of wrong) {
    assert.throws(() => encodeTable({ ...good, ...change }), { code: "TABLE_INVALID" }, JSON.stringify(change));
  }
});

test("the largest table stays below its bound, with 255 targets and names of 128 characters", () => {
  const name = (i: number) => `${i}`.padStart(128, "t");
  const ppm = Array.from({ length: 255 }, (_, i) => (i === 0 ? 1_000_000 - 254 * 3_900 : 3_900));
  const targets = ppm.map((share, i) => ({
    name: name(i),
    basePpm: share,
    weightPpm: share,
    stickyPpm: share,
    draining: false,
  }));
  const { encoded } = buildTable({ service: "s".repeat(128), observe: true, slots: 16_384, targets, previous: null });
  assert.equal(encoded.bytes.length, MAX_TABLE_BYTES);
  assert.ok(MAX_TABLE_BYTES < 128 * 1024);
});

test("a set is sorted, digested over names and table digests, and refuses doubles and emptiness", () => {
  const table = (service: string, digest: bigint) => ({ service, digest, bytes: new Uint8Array() });
  const set = makeSet([table("quotes", 2n), table("Ledger", 3n), table("pay", 1n)]);
  assert.deepEqual(
    set.tables.map((t) => t.service),
    ["Ledger", "pay", "quotes"],
  );
  const bytes = Buffer.concat(
    (
      [
        ["Ledger", 3n],
        ["pay", 1n],
        ["quotes", 2n],
      ] as const
    ).map(([name, digest]) => {
      const part = Buffer.alloc(2 + name.length + 8);
      part.writeUInt16LE(name.length, 0);
      part.write(name, 2);
      part.writeBigUInt64LE(digest, 2 + name.length);
      return part;
    }),
  );
  assert.equal(set.digest, xxh64(bytes));
  assert.equal(setDigest(set.tables), set.digest);
  assert.throws(() => makeSet([]), { code: "TABLE_SET_INVALID" });
  assert.throws(() => makeSet([table("a", 1n), table("a", 2n)]), { code: "TABLE_SET_INVALID" });
});

function sample() {
  return buildTable({
    service: "pay",
    observe: false,
    slots: 256,
    targets: [
      { name: "b", basePpm: 500_000, weightPpm: 250_000, stickyPpm: 750_000, draining: true },
      { name: "a", basePpm: 500_000, weightPpm: 750_000, stickyPpm: 250_000, draining: false },
    ],
    previous: null,
  }).encoded;
}
