import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { encodeExample } from "./tf-example.ts";
import { crc32c, frame, TfRecordWriter, unframe } from "./tfrecord.ts";

describe("TFRecord files", () => {
  test("carry CRC-32C with the check values of RFC 3720", () => {
    assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
    assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
    assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  });

  test("give back what was written", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ballast-records-"));
    try {
      const records = Array.from({ length: 500 }, (_, i) => Buffer.alloc(i * 7, i));
      const writer = new TfRecordWriter(join(folder, "r"));
      for (const record of records) await writer.write(record);
      await writer.close();
      assert.deepEqual([...unframe(await readFile(join(folder, "r")))], records);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("any flipped bit or missing end is noticed", () => {
    const record = fc.uint8Array({ minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(record, fc.nat(), fc.nat(7), (bytes, position, bit) => {
        const framed = frame(bytes);
        framed[position % framed.length]! ^= 1 << bit;
        assert.throws(() => [...unframe(framed)]);
      }),
    );
    assert.throws(() => [...unframe(frame(Buffer.from("ab")).subarray(0, -1))]);
  });
});

describe("a tf.Example", () => {
  test("has the bytes that TensorFlow writes", () => {
    // tf.train.Example(features={a: bytes "x", b: float 1.5, c: int64 -1, 300}).SerializeToString(deterministic=True)
    const bytes = encodeExample(
      new Map<string, Float32Array | bigint[] | string[]>([
        ["b", Float32Array.of(1.5)],
        ["c", [-1n, 300n]],
        ["a", ["x"]],
      ]),
    );
    const expected =
      "0a320a0a0a016112050a030a01780a0d0a0162120812060a040000c03f0a150a016312101a0e0a0cffffffffffffffffff01ac02";
    assert.equal(bytes.toString("hex"), expected);
  });
});
