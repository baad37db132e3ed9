import type { Socket } from "node:net";

/**
 * The client's half of one gRPC stream on an HTTP/2 connection of its own, written by hand: ten thousand of them must
 * cost less than the server that they measure. Only what a well-behaved server needs is there: no flow control beyond large
 * windows, no HPACK decoding (a header block's only meaning is whether it ends the stream). RFC 9113, section 4.1 for frames.
 */
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const FRAME_HEADER = 9;
const GRPC_PREFIX = 5;
const STREAM = 1;
/** Far more than a run receives, so that no window update is ever owed. */
const WINDOW_BYTES = 0x7000_0000;
const DEFAULT_WINDOW_BYTES = 65_535;
const MAX_PENDING_BYTES = 4 * 1024 * 1024;

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
const SETTINGS_ACK = frame(SETTINGS, ACK, 0, Buffer.alloc(0));

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_HEADER);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** One gRPC message in one DATA frame of the only stream. At most 16,000 bytes. */
export function dataFrame(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(GRPC_PREFIX);
  prefix.writeUInt32BE(message.length, 1);
  return frame(DATA, 0, STREAM, Buffer.concat([prefix, message]));
}

/** Connection preface, settings and the request headers: what goes before the first message. */
export function opening(path: string, authority: string, secure: boolean): Buffer {
  const settings = Buffer.alloc(12);
  settings.writeUInt16BE(2, 0); // ENABLE_PUSH 0
  settings.writeUInt16BE(4, 6); // INITIAL_WINDOW_SIZE
  settings.writeUInt32BE(WINDOW_BYTES, 8);
  const window = Buffer.alloc(4);
  window.writeUInt32BE(WINDOW_BYTES - DEFAULT_WINDOW_BYTES);
  // HPACK (RFC 7541): indexed :method POST and :scheme, then literals without indexing, names from the static table where it has them.
  const literal = (name: readonly number[], value: string): Buffer =>
    Buffer.concat([Buffer.from(name), Buffer.from([value.length]), Buffer.from(value, "latin1")]);
  const headers = Buffer.concat([
    Buffer.from([0x83, secure ? 0x87 : 0x86]),
    literal([0x04], path),
    literal([0x01], authority),
    literal([0x0f, 0x10], "application/grpc"),
    literal([0x00, 2, 0x74, 0x65], "trailers"),
  ]);
  return Buffer.concat([
    PREFACE,
    frame(SETTINGS, 0, 0, settings),
    frame(WINDOW_UPDATE, 0, 0, window),
    frame(HEADERS, END_HEADERS, STREAM, headers),
  ]);
}

/** Reads what the server sends on one connection: hands on whole gRPC messages, answers SETTINGS and PING. */
export class H2Reader {
  readonly #socket: Socket;
  readonly #onMessage: (message: Buffer) => void;
  readonly #onEnd: (why: string) => void;
  #rest: Buffer | null = null;
  #message: Buffer | null = null;

  constructor(socket: Socket, onMessage: (message: Buffer) => void, onEnd: (why: string) => void) {
    this.#socket = socket;
    this.#onMessage = onMessage;
    this.#onEnd = onEnd;
  }

  read(chunk: Buffer): void {
    let bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= FRAME_HEADER) {
      const end = FRAME_HEADER + bytes.readUIntBE(0, 3);
      if (bytes.length < end) break;
      this.#frame(bytes[3] as number, bytes[4] as number, bytes.subarray(FRAME_HEADER, end));
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes.length === 0 ? null : bytes;
  }

  #frame(type: number, flags: number, payload: Buffer): void {
    if (type === DATA) this.#data(payload);
    else if (type === SETTINGS && (flags & ACK) === 0) this.#socket.write(SETTINGS_ACK);
    else if (type === PING && (flags & ACK) === 0) this.#socket.write(frame(PING, ACK, 0, payload));
    else if (type === GOAWAY) this.#onEnd("GOAWAY");
    else if (type === RST_STREAM) this.#onEnd("RST_STREAM");
    else if (type === HEADERS && (flags & END_STREAM) !== 0) this.#onEnd("trailers");
  }

  #data(payload: Buffer): void {
    let bytes = this.#message === null ? payload : Buffer.concat([this.#message, payload]);
    if (bytes.length > MAX_PENDING_BYTES) throw new Error(`a message of more than ${MAX_PENDING_BYTES} bytes`);
    while (bytes.length >= GRPC_PREFIX) {
      const end = GRPC_PREFIX + bytes.readUInt32BE(1);
      if (bytes.length < end) break;
      this.#onMessage(bytes.subarray(GRPC_PREFIX, end));
      bytes = bytes.subarray(end);
    }
    // A copy: the socket's buffer must not be kept alive by a few bytes of it.
    this.#message = bytes.length === 0 ? null : Buffer.from(bytes);
  }
}
