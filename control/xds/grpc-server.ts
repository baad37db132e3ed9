import * as http2 from "node:http2";
import { createServer as createGate, type Server as GateServer, type Socket } from "node:net";
import type { PeerCertificate, TLSSocket } from "node:tls";
import { BallastError } from "../../common/errors.ts";
import { AdmissionGate } from "./admission.ts";
import { MessageReader } from "./grpc-framing.ts";

/** The gRPC status codes that Ballast answers with. https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
export const GRPC_STATUS = {
  OK: 0,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  UNAVAILABLE: 14,
} as const;

export interface GrpcServerOptions {
  host: string;
  port: number;
  /** The one method, bidirectional streaming: `/package.Service/Method`. Anything else is answered with UNIMPLEMENTED. */
  path: string;
  /** PEM. With `clientCa` every client must show a certificate signed by it. */
  tls?: { cert: Buffer; key: Buffer; clientCa?: Buffer };
  /** Open connections; one more is closed at once. */
  maxConnections: number;
  maxStreamsPerConnection: number;
  maxMessageBytes: number;
  /** Connections taken up per second and at once; the others wait in order, or are closed when too many wait. */
  connectsPerSecond: number;
  connectBurst: number;
  maxWaitingConnects: number;
  keepaliveMs: number;
  keepaliveTimeoutMs: number;
  /** A stream was opened: set its callbacks before returning. */
  onStream(stream: GrpcStream): void;
}

export interface GrpcServer {
  port: number;
  connections(): number;
  /** Waits for streams to end after GOAWAY; whatever is left after `graceMs` is cut. End the streams after calling it. */
  stop(graceMs: number): Promise<void>;
}

const NO_ERROR = http2.constants.NGHTTP2_NO_ERROR;
const KEEPALIVE_SWEEPS = 8;
const PATIENT_SWEEPS = 2;
/** Connections that the kernel completes before we take them (bounded by net.core.somaxconn): beyond it clients wait whole seconds. */
const BACKLOG = 4_096;
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** How long an ended stream may stay half open. */
const LINGER_MS = 1_000;
/**
 * Most bytes handed to a TLS connection at once. Node keeps a buffer of the largest write of each connection for as long as the
 * connection lives (NodeBIO), up to 16 KiB for writes below that size: a set of twenty tables in one write costs 28 KB more of
 * resident memory per connection than in pieces (docs/decisions/0008-tls-of-the-fleet.md).
 */
const TLS_PIECE_BYTES = 12 * 1024;

/**
 * One stream of the served method. Deliberately thin over node:http2: a frame encoded once goes to every stream as it is.
 * With one connection per client this halves the server's CPU per message and its memory against a general gRPC server
 * (bench/RESULTS.md, fleet), which allocates, copies and schedules anew for each message of each stream.
 */
export class GrpcStream {
  readonly #stream: http2.ServerHttp2Stream;
  /** Largest single write; what is longer goes out piece by piece, each when the one before it is gone. */
  readonly #pieceBytes: number;
  /** Pieces that wait for the one under way; empty when none is. */
  #pieces: Buffer[] = [];
  #afterPieces: (() => void) | null = null;
  #ended = false;
  onMessage: (message: Buffer) => void = () => {};
  /** The socket took what a `write` that returned false had left waiting. */
  onDrain: () => void = () => {};
  /** The stream is over, whoever ended it; called once. */
  onClose: () => void = () => {};

  constructor(stream: http2.ServerHttp2Stream, maxMessageBytes: number, pieceBytes = Number.POSITIVE_INFINITY) {
    this.#stream = stream;
    this.#pieceBytes = pieceBytes;
    const reader = new MessageReader(maxMessageBytes);
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("data", (chunk: Buffer) => {
      if (this.#ended) return;
      const fault = reader.read(chunk, (message) => {
        if (!this.#ended) this.onMessage(message);
      });
      if (fault === "compressed") this.end(GRPC_STATUS.UNIMPLEMENTED, "compressed messages are not taken");
      if (fault === "too_large")
        this.end(GRPC_STATUS.RESOURCE_EXHAUSTED, `a message has more than ${maxMessageBytes} bytes`);
    });
    stream.on("drain", () => {
      if (this.#afterPieces === null) this.onDrain();
    });
    // A client that half-closes has nothing more to say; its calls end with OK.
    stream.on("end", () => this.end(GRPC_STATUS.OK, ""));
    // Resets and broken connections arrive as errors; 'close' follows and says all that matters.
    stream.on("error", () => {});
    stream.on("close", () => {
      this.#ended = true;
      this.onClose();
    });
  }

  /** What the client showed, or null without mutual TLS. */
  peerCertificate(): PeerCertificate | null {
    const socket = this.#stream.session?.socket as TLSSocket | undefined;
    const certificate = socket?.getPeerCertificate?.();
    return certificate === undefined || certificate.raw === undefined ? null : certificate;
  }

  /** Takes a framed message. False: more is waiting than the peer reads; write again after `onDrain` only. */
  write(frame: Buffer): boolean {
    if (this.#ended) return true;
    return frame.length > this.#pieceBytes ? this.#inPieces([frame]) : this.#stream.write(frame);
  }

  /** The same for several at once, in as few packets as possible. */
  writeAll(frames: readonly Buffer[]): boolean {
    if (this.#ended) return true;
    if (frames.reduce((sum, frame) => sum + frame.length, 0) > this.#pieceBytes) return this.#inPieces(frames);
    const stream = this.#stream;
    let open = true;
    stream.cork();
    for (const frame of frames) open = stream.write(frame);
    stream.uncork();
    return open;
  }

  /** Ends the stream with a status. Later calls change nothing. */
  end(code: number, details: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const stream = this.#stream;
    if (stream.destroyed) return;
    if (this.#afterPieces === null) {
      this.#close(code, details);
      return;
    }
    // A status within a message would be none; who does not even read the rest of it within the time is cut off.
    const cut = setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), LINGER_MS).unref();
    this.#afterPieces = () => {
      clearTimeout(cut);
      this.#close(code, details);
    };
  }

  /** Always false: more may be written after `onDrain`. */
  #inPieces(frames: readonly Buffer[]): false {
    const size = this.#pieceBytes;
    for (const frame of frames) {
      for (let at = 0; at < frame.length; at += size) this.#pieces.push(frame.subarray(at, at + size));
    }
    this.#afterPieces = () => this.onDrain();
    const next = (): void => {
      const piece = this.#pieces.shift();
      if (piece !== undefined) {
        this.#stream.write(piece, (error) => {
          if (error == null) next();
          else this.#pieces = [];
        });
        return;
      }
      const done = this.#afterPieces;
      this.#afterPieces = null;
      done?.();
    };
    next();
    return false;
  }

  #close(code: number, details: string): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    stream.once("wantTrailers", () => {
      stream.sendTrailers({
        "grpc-status": String(code),
        "grpc-message": percentEncoded(details),
      });
      // Clients close their half when they see the status. At once, a reset would overtake the trailers.
      setTimeout(() => stream.close(NO_ERROR), LINGER_MS).unref();
    });
    stream.end();
  }
}

/** Starts serving one bidirectional-streaming method. Throws PORT_TAKEN. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { tls } = options;
  const settings = {
    settings: { maxConcurrentStreams: options.maxStreamsPerConnection },
    // The bound is on messages and connections; below its default of 10 MB per session nothing that we take could fail.
    maxSessionMemory: 10,
  };
  const server =
    tls === undefined
      ? http2.createServer(settings)
      : http2.createSecureServer({
          ...settings,
          cert: tls.cert,
          key: tls.key,
          ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
          ALPNProtocols: ["h2"],
          minVersion: "TLSv1.2",
          handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
        });
  const sessions = new Map<http2.Http2Session, Keepalive>();
  server.on("session", (session) => {
    sessions.set(session, { lastMs: performance.now(), pending: false, sweepsUnanswered: 0, streams: 0 });
    session.on("error", () => session.destroy());
    session.on("close", () => sessions.delete(session));
  });
  server.on("sessionError", () => {});
  server.on("stream", (stream, headers) => {
    if (headers[":path"] !== options.path || headers[":method"] !== "POST") {
      refuseMethod(stream);
      return;
    }
    const state = stream.session === undefined ? undefined : sessions.get(stream.session);
    if (state !== undefined) {
      state.streams++;
      stream.once("close", () => state.streams--);
    }
    const pieceBytes = tls === undefined ? Number.POSITIVE_INFINITY : TLS_PIECE_BYTES;
    options.onStream(new GrpcStream(stream, options.maxMessageBytes, pieceBytes));
  });

  const gate = new AdmissionGate<Socket>({
    perSecond: options.connectsPerSecond,
    burst: options.connectBurst,
    maxWaiting: options.maxWaitingConnects,
    admit: (socket) => {
      if (!socket.destroyed) server.emit("connection", socket);
    },
    refuse: (socket) => socket.destroy(),
  });
  /** Every connection, whether it waits, shakes hands or is a session. */
  const sockets = new Set<Socket>();
  const listener = createGate({ noDelay: true }, (socket) => {
    // Until the HTTP/2 session takes it over a reset would otherwise be an unhandled error.
    socket.on("error", () => socket.destroy());
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    gate.arrive(socket);
  });
  listener.maxConnections = options.maxConnections;
  const port = await listen(listener, options);

  // One sweep for all sessions: ten thousand timers would cost more than the pings.
  const sweep = setInterval(() => {
    const nowMs = performance.now();
    for (const [session, state] of sessions) keepAlive(session, state, nowMs, options);
  }, options.keepaliveMs / KEEPALIVE_SWEEPS);
  sweep.unref();

  return {
    port,
    connections: () => sessions.size,
    stop: async (graceMs) => {
      gate.stop();
      const closed = new Promise<void>((done) => listener.close(() => done()));
      for (const session of sessions.keys()) session.close();
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([closed, new Promise<void>((done) => (timer = setTimeout(done, graceMs)))]);
      clearTimeout(timer);
      clearInterval(sweep);
      for (const session of sessions.keys()) session.destroy();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

interface Keepalive {
  /** When the connection began or was last pinged. */
  lastMs: number;
  pending: boolean;
  /** Sweeps since the ping that found no answer. */
  sweepsUnanswered: number;
  streams: number;
}

/** Finds half-open connections: a ping each `keepaliveMs`, and the end for who has not answered within `keepaliveTimeoutMs`. */
function keepAlive(
  session: http2.Http2Session,
  state: Keepalive,
  nowMs: number,
  limits: { keepaliveMs: number; keepaliveTimeoutMs: number },
): void {
  if (session.destroyed) return;
  const sinceMs = nowMs - state.lastMs;
  if (state.pending) {
    // Time alone would blame a client for our own stall: after one, its answer lies unread while the timers run first.
    if (++state.sweepsUnanswered > PATIENT_SWEEPS && sinceMs > limits.keepaliveTimeoutMs) session.destroy();
    return;
  }
  if (sinceMs < limits.keepaliveMs) return;
  // Nothing is asked of us on this connection.
  if (state.streams === 0) {
    session.close();
    return;
  }
  state.lastMs = nowMs;
  state.pending = true;
  state.sweepsUnanswered = 0;
  const sent = session.ping(() => {
    state.pending = false;
  });
  if (!sent) state.pending = false;
}

/** grpc-message: bytes other than printable ASCII, and the percent sign itself, as %XX. */
function percentEncoded(text: string): string {
  let encoded = "";
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** "Trailers-Only" (gRPC over HTTP/2): the status in the one header block of the answer. */
function refuseMethod(stream: http2.ServerHttp2Stream): void {
  stream.on("error", () => {});
  stream.respond(
    {
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-status": String(GRPC_STATUS.UNIMPLEMENTED),
      "grpc-message": "this method is not served",
    },
    { endStream: true },
  );
  stream.close(NO_ERROR);
}

function listen(listener: GateServer, { host, port }: { host: string; port: number }): Promise<number> {
  return new Promise((done, fail) => {
    listener.once("error", (error: NodeJS.ErrnoException) => {
      fail(
        error.code === "EADDRINUSE"
          ? new BallastError("PORT_TAKEN", `${host}:${port} (xDS)`, { cause: error })
          : BallastError.from(error, "INTERNAL"),
      );
    });
    listener.listen({ port, host, backlog: BACKLOG }, () => {
      const address = listener.address();
      if (address === null || typeof address === "string") throw new Error("a TCP server has no port");
      done(address.port);
    });
  });
}
