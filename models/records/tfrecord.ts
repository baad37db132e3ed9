import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { finished } from "node:stream/promises";

/*
 * The TFRecord framing (tensorflow/core/lib/io/record_writer.h):
 *   u64 length · u32 masked crc32c of the length · bytes · u32 masked crc32c of the bytes, all little-endian.
 */
const POLYNOMIAL = 0x82f63b78;
const MASK_DELTA = 0xa282ead8;
/** What one record may hold; an example of ours has a few kilobytes. */
const MAX_RECORD_BYTES = 1 << 24;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc >>> 0;
});

/** CRC-32C (Castagnoli, RFC 3720 appendix B.4). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Rotated and moved, so that a checksum of data that holds checksums stays useful. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}

export function frame(record: Uint8Array): Buffer {
  if (record.length > MAX_RECORD_BYTES) throw new Error(`a record of ${record.length} bytes`);
  const framed = Buffer.alloc(record.length + 16);
  framed.writeBigUInt64LE(BigInt(record.length), 0);
  framed.writeUInt32LE(maskedCrc32c(framed.subarray(0, 8)), 8);
  framed.set(record, 12);
  framed.writeUInt32LE(maskedCrc32c(record), 12 + record.length);
  return framed;
}

/** Splits framed bytes; throws where a checksum or a length does not fit. For tests and tools. */
export function* unframe(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    if (at + 16 > bytes.length) throw new Error(`the file ends inside the record at byte ${at}`);
    const length = Number(bytes.readBigUInt64LE(at));
    if (bytes.readUInt32LE(at + 8) !== maskedCrc32c(bytes.subarray(at, at + 8)))
      throw new Error(`the length of the record at byte ${at} is damaged`);
    if (length > MAX_RECORD_BYTES || at + 16 + length > bytes.length)
      throw new Error(`the record at byte ${at} says ${length} bytes`);
    const record = bytes.subarray(at + 12, at + 12 + length);
    if (bytes.readUInt32LE(at + 12 + length) !== maskedCrc32c(record))
      throw new Error(`the record at byte ${at} is damaged`);
    yield record;
    at += 16 + length;
  }
}

/** Writes a TFRecord file; waits when the disk is slower than the caller. */
export class TfRecordWriter {
  readonly #stream: WriteStream;

  constructor(path: string) {
    this.#stream = createWriteStream(path);
  }

  async write(record: Uint8Array): Promise<void> {
    if (!this.#stream.write(frame(record))) await once(this.#stream, "drain");
  }

  async close(): Promise<void> {
    this.#stream.end();
    await finished(this.#stream);
  }
}
