/** A value of one feature: numbers are floats, bigints int64, strings bytes. */
export type FeatureValue = Float32Array | readonly bigint[] | readonly string[];

/*
 * tensorflow/core/example/{example,feature}.proto, written by hand as it is three nested messages:
 *   Example {1: Features}   Features {1: map<string, Feature>}
 *   Feature {1: BytesList {1: bytes…} | 2: FloatList {1: packed float} | 3: Int64List {1: packed varint}}
 */
const LENGTH_DELIMITED = 2;

export function encodeExample(features: ReadonlyMap<string, FeatureValue>): Buffer {
  // Sorted, as a map has no order of its own: the same example always gives the same bytes.
  const entries = [...features].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => encodeEntry(name, value));
  return field(1, Buffer.concat(entries));
}

function encodeEntry(name: string, value: FeatureValue): Buffer {
  return field(1, Buffer.concat([field(1, Buffer.from(name)), field(2, encodeFeature(value))]));
}

function encodeFeature(value: FeatureValue): Buffer {
  if (value instanceof Float32Array) {
    const packed = Buffer.alloc(4 * value.length);
    for (let i = 0; i < value.length; i++) packed.writeFloatLE(value[i]!, 4 * i);
    return field(2, field(1, packed));
  }
  if (typeof value[0] === "bigint") return field(3, field(1, Buffer.concat((value as bigint[]).map(varint))));
  return field(1, Buffer.concat((value as string[]).map((text) => field(1, Buffer.from(text)))));
}

function field(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint(BigInt((number << 3) | LENGTH_DELIMITED)), varint(BigInt(bytes.length)), bytes]);
}

/** Base-128; a negative int64 takes ten bytes as two's complement. */
function varint(value: bigint): Buffer {
  let rest = BigInt.asUintN(64, value);
  const bytes: number[] = [];
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Buffer.from(bytes);
}
