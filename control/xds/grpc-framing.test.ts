import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { frameMessage, MessageReader } from "./grpc-framing.ts";

test("messages come out as they went in, however the bytes are cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 17 }), { minLength: 1 }),
      (messages, cuts) => {
        const bytes = Buffer.concat(messages.map(frameMessage));
        const reader = new MessageReader(40);
        const seen: number[][] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const end = at + (cuts[turn % cuts.length] as number);
          assert.equal(
            reader.read(bytes.subarray(at, end), (message) => seen.push([...message])),
            null,
          );
          at = end;
        }
        assert.deepEqual(
          seen,
          messages.map((message) => [...message]),
        );
      },
    ),
  );
});

test("a message over the bound is refused by its prefix alone, and a compressed one by its flag", () => {
  const never = () => assert.fail("no message is whole");
  const large = frameMessage(Buffer.alloc(41));
  assert.equal(new MessageReader(40).read(large.subarray(0, 5), never), "too_large");
  const compressed = frameMessage(Buffer.alloc(3));
  compressed[0] = 1;
  assert.equal(new MessageReader(40).read(compressed.subarray(0, 5), never), "compressed");
});
