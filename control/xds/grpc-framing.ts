/**
 * gRPC's length-prefixed messages: one byte "compressed", four bytes length (big-endian), the message.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export const PREFIX_BYTES = 5;

/** A message with its prefix, as it goes into DATA frames. Encoded once, it is written to any number of streams. */
export function frameMessage(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

/** Why a stream of bytes cannot be taken further. */
export type FramingFault = "compressed" | "too_large";

/** Takes one stream's bytes as they come and gives whole messages. Holds at most one message of `maxBytes`. */
export class MessageReader {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #buffered = 0;
  /** Size of the message being read with its prefix; 0 while the prefix itself is incomplete. */
  #expected = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Calls `onMessage` for each message that is complete now; the Buffer may share memory with `chunk`. */
  read(chunk: Buffer, onMessage: (message: Buffer) => void): FramingFault | null {
    let bytes = chunk;
    if (this.#buffered > 0) {
      this.#chunks.push(chunk);
      this.#buffered += chunk.length;
      if (this.#expected === 0 ? this.#buffered < PREFIX_BYTES : this.#buffered < this.#expected) return null;
      bytes = Buffer.concat(this.#chunks);
      this.#chunks = [];
      this.#buffered = 0;
      this.#expected = 0;
    }
    while (bytes.length >= PREFIX_BYTES) {
      const length = bytes.readUInt32BE(1);
      if (bytes[0] !== 0) return "compressed";
      if (length > this.#maxBytes) return "too_large";
      const end = PREFIX_BYTES + length;
      if (bytes.length < end) {
        this.#expected = end;
        break;
      }
      onMessage(bytes.subarray(PREFIX_BYTES, end));
      bytes = bytes.subarray(end);
    }
    if (bytes.length > 0) {
      this.#chunks.push(bytes);
      this.#buffered = bytes.length;
    }
    return null;
  }
}
