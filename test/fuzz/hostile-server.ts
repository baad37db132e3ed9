import { createServer, type Http2Server, type Http2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { fromBinary } from "@bufbuild/protobuf";
import type { TableSet } from "../../control/table/table.ts";
import { type DiscoveryRequest, DiscoveryRequestSchema } from "../../control/xds/proto/discovery_pb.js";
import type { Rig } from "../e2e/fixture/rig.ts";
import { until } from "../e2e/fixture/wait.ts";
import { activation, response, stage, weightTable } from "./messages.ts";

const STEER = 1;
/** A message of gRPC: u8 compressed, u32 length big-endian, bytes. */
const PREFIX_BYTES = 5;

/** A control server on bare HTTP/2, which can say anything, and tell the truth when asked to. */
export class HostileServer {
  readonly #server: Http2Server;
  readonly #sessions = new Set<Http2Session>();
  #stream: ServerHttp2Stream | undefined;
  #honest: TableSet | undefined;
  /** Types and nonces of the newest answers, with what was refused. */
  readonly #answers = new Map<string, { version: string; error: string | undefined }>();
  readonly #fences = new Map<string, () => void>();
  #gone: () => void = () => {};
  answered = 0;
  refused = 0;
  streams = 0;

  private constructor(server: Http2Server) {
    this.#server = server;
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("error", () => {});
      session.on("close", () => this.#sessions.delete(session));
    });
    server.on("stream", (stream) => this.#opened(stream));
  }

  static async start(rig: Rig): Promise<HostileServer> {
    const server = createServer();
    const hostile = new HostileServer(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    rig.later(() => {
      for (const session of hostile.#sessions) session.destroy();
      server.close();
    });
    return hostile;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connected(): boolean {
    return this.#stream !== undefined;
  }

  /** Writes a message, or any bytes in place of the prefix and the message. False when the connection has no room now. */
  send(message: Uint8Array, raw = false): boolean {
    const stream = this.#stream;
    if (stream === undefined) return false;
    if (raw) return stream.write(message);
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(message.length, 1);
    return stream.write(Buffer.concat([prefix, message]));
  }

  /** Waits until what was written has left. */
  drained(): Promise<void> {
    const stream = this.#stream;
    if (stream === undefined || !stream.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        stream.off("drain", done);
        stream.off("close", done);
        resolve();
      };
      stream.on("drain", done);
      stream.on("close", done);
    });
  }

  /** Resolves when the filter has read all that was sent: true, or the stream ended before it had. */
  async fence(): Promise<boolean> {
    const stream = this.#stream;
    const message = response("WeightTable", []);
    const nonce = nonceOf(message);
    if (stream === undefined) return false;
    const answered = new Promise<void>((resolve) => {
      this.#fences.set(nonce, resolve);
    });
    this.#gone = () => this.#fences.get(nonce)?.();
    this.send(message);
    await answered;
    this.#fences.delete(nonce);
    return this.#answers.has(nonce);
  }

  /** Ends the stream: with a gRPC status, or in the middle. */
  hangUp(politely: boolean): void {
    const stream = this.#stream;
    this.#stream = undefined;
    if (politely) stream?.end();
    else stream?.destroy();
  }

  /** An epoch as the real server brings it; resolves when the Envoy uses it. */
  async deploy(epoch: bigint, term: bigint, set: TableSet): Promise<void> {
    this.#honest = set;
    await this.#say("the stage is acknowledged", "Stage", stage(epoch, term, set.digest, set.tables));
    await this.#say("the activation is acknowledged", "Activation", activation(epoch, term, set.digest, STEER));
    this.#honest = undefined;
  }

  async #say(what: string, kind: string, resource: Uint8Array): Promise<void> {
    let asked: ServerHttp2Stream | undefined;
    let nonce = "";
    await until(what, () => {
      if (this.#stream === undefined) return false;
      if (asked !== this.#stream) {
        // On a new stream everything is said anew.
        asked = this.#stream;
        const message = response(kind, [resource]);
        nonce = nonceOf(message);
        this.send(message);
      }
      const answer = this.#answers.get(nonce);
      if (answer?.error !== undefined) throw new Error(`${kind} refused: ${answer.error}`);
      return answer !== undefined;
    });
  }

  #opened(stream: ServerHttp2Stream): void {
    this.streams++;
    this.#stream = stream;
    stream.on("error", () => {});
    stream.on("close", () => {
      if (this.#stream === stream) this.#stream = undefined;
      this.#gone();
    });
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    let rest = Buffer.alloc(0);
    stream.on("data", (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= PREFIX_BYTES) {
        const end = PREFIX_BYTES + rest.readUInt32BE(1);
        if (rest.length < end) break;
        this.#received(rest.subarray(PREFIX_BYTES, end));
        rest = rest.subarray(end);
      }
    });
  }

  #received(bytes: Uint8Array): void {
    let message: DiscoveryRequest;
    try {
      message = fromBinary(DiscoveryRequestSchema, bytes);
    } catch {
      // An echo of a nonce that was no UTF-8.
      this.answered++;
      return;
    }
    if (message.responseNonce !== "") this.answered++;
    if (message.errorDetail !== undefined) this.refused++;
    if (this.#answers.size > 10_000) this.#answers.clear();
    this.#answers.set(message.responseNonce, { version: message.versionInfo, error: message.errorDetail?.message });
    this.#fences.get(message.responseNonce)?.();
    if (this.#honest === undefined || !message.typeUrl.endsWith("WeightTable")) return;
    for (const name of message.resourceNames) {
      const table = this.#honest.tables.find(({ digest }) => digest === BigInt(`0x${name}`));
      if (table !== undefined) this.send(response("WeightTable", [weightTable(table.digest, table.bytes)]));
    }
  }
}

function nonceOf(message: Uint8Array): string {
  return /f\d+$/.exec(Buffer.from(message).toString("latin1"))![0];
}
