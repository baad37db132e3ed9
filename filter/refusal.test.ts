import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { xxh64 } from "../common/xxh64.ts";
import { tableDigest } from "../control/table/codec.ts";
import { setDigest } from "../control/table/set.ts";
import type { EncodedTable, TableSet } from "../control/table/table.ts";
import { deploy, set, settle, splitSet, start, table } from "../test/host/fixtures.ts";

/** Changes the bytes of a table and gives it the digest of what it then is, in the header and in the set. */
function forge(original: EncodedTable, change: (bytes: Uint8Array, view: DataView) => Uint8Array): TableSet {
  const copy = original.bytes.slice();
  const bytes = change(copy, new DataView(copy.buffer));
  const digest = tableDigest(bytes);
  new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(16, digest, true);
  const forged = { service: original.service, digest, bytes };
  return { digest: setDigest([forged]), tables: [forged] };
}

const GOOD = table("payments", { order: { a: 100, b: 156 } });
const SERVICE_AT = 26;
const FIRST_NAME_AT = SERVICE_AT + "payments".length + 2;
const STICKY_AT = GOOD.bytes.length - 512;

const FORGED: Record<string, { reason: string; set: TableSet }> = {
  "another magic": {
    reason: "TABLE_MAGIC",
    set: forge(GOOD, (bytes) => {
      bytes[0] = 0;
      return bytes;
    }),
  },
  "a later version": {
    reason: "TABLE_VERSION",
    set: forge(GOOD, (bytes, view) => {
      view.setUint16(4, 2, true);
      return bytes;
    }),
  },
  "unknown flags": {
    reason: "TABLE_FLAGS",
    set: forge(GOOD, (bytes, view) => {
      view.setUint16(6, 2, true);
      return bytes;
    }),
  },
  "slots that are no power of two": {
    reason: "TABLE_SLOTS",
    set: forge(GOOD, (bytes, view) => {
      view.setUint16(8, 255, true);
      return bytes;
    }),
  },
  "no targets": {
    reason: "TABLE_TARGETS",
    set: forge(GOOD, (bytes, view) => {
      view.setUint16(10, 0, true);
      return bytes;
    }),
  },
  "a short length": {
    reason: "TABLE_LENGTH",
    set: forge(GOOD, (bytes) => bytes.slice(0, -1)),
  },
  "a short length that its header admits": {
    reason: "TABLE_LENGTH",
    set: forge(GOOD, (bytes, view) => {
      view.setUint32(12, bytes.length - 1, true);
      return bytes.slice(0, -1);
    }),
  },
  "a name with a line break": {
    reason: "TABLE_NAME",
    set: forge(GOOD, (bytes) => {
      bytes[FIRST_NAME_AT] = 10;
      return bytes;
    }),
  },
  "a service name with a space": {
    reason: "TABLE_NAME",
    set: forge(GOOD, (bytes) => {
      bytes[SERVICE_AT] = 32;
      return bytes;
    }),
  },
  "a name that ends outside": {
    reason: "TABLE_LENGTH",
    set: forge(GOOD, (bytes, view) => {
      view.setUint16(24, 60_000, true);
      return bytes;
    }),
  },
  "a target twice": {
    reason: "TABLE_DUPLICATE",
    set: forge(GOOD, (bytes) => {
      bytes[FIRST_NAME_AT] = "b".charCodeAt(0);
      return bytes;
    }),
  },
  "a slot of a target that is not there": {
    reason: "TABLE_INDEX",
    set: forge(GOOD, (bytes) => {
      bytes[STICKY_AT + 3] = 2;
      return bytes;
    }),
  },
  "a quota that sticky misses": {
    reason: "TABLE_QUOTA",
    set: forge(GOOD, (bytes) => {
      bytes[STICKY_AT] = 1;
      return bytes;
    }),
  },
  "a quota that order misses": {
    reason: "TABLE_QUOTA",
    set: forge(GOOD, (bytes) => {
      bytes[STICKY_AT + 256] = 1 - bytes[STICKY_AT + 256]!;
      return bytes;
    }),
  },
};

for (const [what, { reason, set: forged }] of Object.entries(FORGED)) {
  test(`a table with ${what} is refused as ${reason}, with its set, and the old set serves on`, () => {
    const { envoy, peer } = start();
    settle(envoy);
    deploy(envoy, peer, 1, splitSet("payments", 256));
    const nonce = peer.stage(2, forged);
    envoy.advance(300);
    const kinds = peer.nacks.map((nack) => nack.kind);
    assert.deepEqual(kinds, ["WeightTable", "Stage"]);
    for (const nack of peer.nacks) {
      assert.ok(nack.text.startsWith(`${reason}: `), nack.text);
      assert.equal(nack.code, 3);
    }
    assert.match(peer.answer(nonce)!.version, /^1-/);
    for (const worker of [0, 1]) assert.equal(envoy.request(worker, { route: "payments" }).steer, "payments_a");
    envoy.advance(200);
    assert.equal(envoy.metrics.value(`ballast.refused.${reason}`), 1);
    deploy(envoy, peer, 3, splitSet("payments", 0));
    assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_b");
  });
}

test("a flipped bit anywhere in a table is refused and traps nothing", () => {
  const { envoy, peer } = start({ workers: 1 });
  settle(envoy);
  deploy(envoy, peer, 1, splitSet("payments", 256));
  let epoch = 1;
  fc.assert(
    fc.property(fc.integer({ min: 0, max: GOOD.bytes.length * 8 - 1 }), (bit) => {
      epoch++;
      const bytes = GOOD.bytes.slice();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      const nonce = peer.stage(epoch, { digest: setDigest([GOOD]), tables: [{ ...GOOD, bytes }] });
      envoy.advance(10);
      assert.match(peer.answer(nonce)!.error, /^TABLE_(MAGIC|VERSION|LENGTH|DIGEST): /);
      assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_a");
      // The same digest must be served again when the next epoch asks for it.
      peer.forgetSent();
    }),
    { numRuns: 200 },
  );
  for (const vm of envoy.vms) assert.equal(vm.trapped, undefined);
});

test("a table under another digest than asked for is refused", () => {
  const { envoy, peer } = start();
  settle(envoy);
  const asked = table("payments", { order: { a: 256 } });
  const other = table("payments", { order: { b: 256 } });
  const nonce = peer.stage(1, { digest: setDigest([asked]), tables: [{ ...asked, bytes: other.bytes }] });
  envoy.advance(300);
  assert.match(peer.answer(nonce)!.error, /^TABLE_DIGEST: /);
});

test("a table of another service than the set says is refused", () => {
  const { envoy, peer } = start();
  settle(envoy);
  const other = table("quotes", { order: { b: 256 } });
  const renamed = { ...other, service: "payments" };
  const nonce = peer.stage(1, { digest: setDigest([renamed]), tables: [renamed] });
  envoy.advance(300);
  assert.match(peer.answer(nonce)!.error, /^TABLE_SERVICE: /);
});

test("a set is refused when it is empty, unsorted, badly named, too large or not what its digest says", () => {
  const { envoy, peer } = start({ config: { max_services: 2, max_set_bytes: 65_536 } });
  settle(envoy);
  const refuse = (epoch: number, tables: TableSet, reason: string, digest = tables.digest) => {
    const nonce = peer.stage(epoch, tables, { digest });
    envoy.advance(300);
    assert.ok(peer.answer(nonce)?.error.startsWith(`${reason}: `), JSON.stringify(peer.answer(nonce)));
  };
  const spec = { order: { a: 256 } };
  const two = set({ payments: spec, quotes: spec });
  const unsorted = [...two.tables].reverse();
  refuse(1, { digest: xxh64(new Uint8Array()), tables: [] }, "SET_EMPTY");
  refuse(2, { digest: setDigest(unsorted), tables: unsorted }, "SET_ORDER");
  refuse(3, two, "SET_DIGEST", two.digest + 1n);
  refuse(4, set({ payments: spec, quotes: spec, ledger: spec }), "SET_TOO_LARGE");
  const badName = [{ service: "pay ments", digest: 1n, bytes: new Uint8Array() }];
  refuse(5, { digest: setDigest(badName), tables: badName }, "SET_NAME");
  const wide = table("payments", { order: { a: 16_384 } });
  const wide2 = table("quotes", { order: { a: 16_384 } });
  refuse(6, { digest: setDigest([wide, wide2]), tables: [wide, wide2] }, "SET_TOO_LARGE");
  deploy(envoy, peer, 7, two);
});

test("responses that are not protobuf, of unknown types, or without a resource never trap", () => {
  const { envoy, peer } = start({ workers: 1 });
  settle(envoy);
  const one = splitSet("payments", 256);
  deploy(envoy, peer, 1, one);
  const empty = peer.send("Stage", [], "9");
  envoy.advance(100);
  assert.match(peer.answer(empty)!.error, /^MALFORMED: /);
  fc.assert(
    fc.property(
      fc.constantFrom("Stage", "WeightTable", "Activation"),
      fc.uint8Array({ maxLength: 64 }),
      (kind, bytes) => {
        peer.send(kind as "Stage", [bytes], "9");
        envoy.advance(10);
      },
    ),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 96 }), (bytes) => {
      envoy.grpc.deliver(peer.stream, bytes);
      envoy.advance(10);
      // What cannot even be refused ends the stream; it comes back after the back-off.
      envoy.advance(7_600);
    }),
    { numRuns: 60 },
  );
  for (const vm of envoy.vms) assert.equal(vm.trapped, undefined);
  assert.equal(envoy.request(0, { route: "payments" }).steer, "payments_a");
  deploy(envoy, peer, 2, splitSet("payments", 0));
});
