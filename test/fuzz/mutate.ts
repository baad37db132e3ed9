import type { Seeded } from "../race/seeded.ts";

const EDGES = [0, 1, 2, 7, 8, 0x0a, 0x7f, 0x80, 0xfe, 0xff];

/** A few changes of the kinds that break parsers: bits, lengths, cuts, repeats, splices of other messages. */
export function mutate(random: Seeded, bytes: Uint8Array, others: readonly Uint8Array[] = []): Uint8Array {
  let out: Uint8Array = bytes.slice();
  for (let changes = random.pick([1, 1, 1, 2, 3, 8]); changes > 0; changes--) out = mutateOnce(random, out, others);
  return out;
}

function mutateOnce(random: Seeded, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const at = random.below(bytes.length + 1);
  switch (bytes.length === 0 ? 4 : random.below(9)) {
    case 0:
      bytes[at % bytes.length]! ^= 1 << random.below(8);
      return bytes;
    case 1:
      bytes[at % bytes.length] = random.pick(EDGES);
      return bytes;
    case 2:
      return bytes.slice(0, at);
    case 3:
      return bytes.slice(at);
    case 4:
      return splice(bytes, at, 0, random.bytes(random.pick([1, 2, 5, 10, 60])));
    case 5:
      return splice(bytes, at, random.below(20), new Uint8Array());
    case 6: {
      const from = random.below(bytes.length);
      return splice(bytes, at, 0, bytes.slice(from, from + random.below(200)));
    }
    case 7: {
      // A number in any width, as lengths and counts are.
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const value = random.pick([0, 1, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, bytes.length]);
      if (random.chance(0.5) && at + 4 <= bytes.length) view.setUint32(at, value, true);
      else if (at + 2 <= bytes.length) view.setUint16(at, value & 0xffff, true);
      return bytes;
    }
    default: {
      if (others.length === 0) return bytes;
      const other = random.pick(others);
      const from = random.below(other.length + 1);
      return splice(
        bytes,
        at,
        random.below(bytes.length + 1 - at),
        other.slice(from, from + random.below(other.length + 1)),
      );
    }
  }
}

function splice(bytes: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.max(0, bytes.length - Math.min(remove, bytes.length - at)) + insert.length);
  out.set(bytes.subarray(0, at));
  out.set(insert, at);
  out.set(bytes.subarray(Math.min(bytes.length, at + remove)), at + insert.length);
  return out;
}
