import assert from "node:assert/strict";
import * as http2 from "node:http2";
import { after, test } from "node:test";
import { frameMessage, MessageReader } from "./grpc-framing.ts";
import { GRPC_STATUS, type GrpcServer, type GrpcStream, startGrpcServer } from "./grpc-server.ts";
import { testAuthority } from "./test-certificates.ts";

const PATH = "/test.Service/Method";
const authority = testAuthority();
const undo: (() => unknown)[] = [];
after(async () => {
  for (const step of undo.reverse()) await step();
});

// Before any test: the runner calls `after` when all tests known so far have ended.
let onStream: (stream: GrpcStream) => void = () => {};
const server: GrpcServer = await startGrpcServer({
  host: "127.0.0.1",
  port: 0,
  path: PATH,
  tls: authority.issue("server", ["DNS:localhost"]),
  maxConnections: 10,
  maxStreamsPerConnection: 10,
  maxMessageBytes: 1_000,
  connectsPerSecond: 1_000,
  connectBurst: 10,
  maxWaitingConnects: 10,
  keepaliveMs: 60_000,
  keepaliveTimeoutMs: 60_000,
  onStream: (stream) => onStream(stream),
});
undo.push(() => server.stop(100));

interface Heard {
  messages: Buffer[];
  status: number | null;
  reset: number;
}

/** One call; what it hears, once it is over. `reads` false: it never takes a byte of the answer. */
async function call(serve: (stream: GrpcStream) => void, reads = true): Promise<Heard> {
  onStream = serve;
  const session = http2.connect(`https://localhost:${server.port}`, { ca: authority.cert });
  const request = session.request(
    { ":method": "POST", ":path": PATH, "content-type": "application/grpc", te: "trailers" },
    { endStream: false },
  );
  const heard: Heard = { messages: [], status: null, reset: 0 };
  const reader = new MessageReader(1 << 20);
  request.on("error", () => {});
  request.on("trailers", (trailers) => {
    heard.status = Number(trailers["grpc-status"]);
    request.end();
  });
  if (reads)
    request.on("data", (chunk: Buffer) => reader.read(chunk, (one) => void heard.messages.push(Buffer.from(one))));
  await new Promise<void>((done) => request.on("close", () => done()));
  heard.reset = request.rstCode;
  session.destroy();
  return heard;
}

const message = (bytes: number, fill: number): Buffer => Buffer.alloc(bytes, fill);

test("over TLS large messages go out in pieces, in order, and more is asked for when they are gone", async () => {
  const sizes = [[10], [100_000], [3_000, 9_000, 30_000], [5]];
  const answers: boolean[] = [];
  const heard = await call((stream) => {
    let turn = 0;
    const next = (): void => {
      for (;;) {
        const group = sizes[turn];
        if (group === undefined) {
          stream.end(GRPC_STATUS.OK, "");
          return;
        }
        turn += 1;
        const frames = group.map((bytes) => frameMessage(message(bytes, turn)));
        const open = frames.length === 1 ? stream.write(frames[0]!) : stream.writeAll(frames);
        answers.push(open);
        if (!open) return;
      }
    };
    stream.onDrain = next;
    next();
  });
  assert.deepEqual(
    heard.messages,
    sizes.flatMap((group, i) => group.map((bytes) => message(bytes, i + 1))),
  );
  assert.deepEqual(answers, [true, false, false, true], "a stream that sends pieces takes nothing else meanwhile");
  assert.equal(heard.status, GRPC_STATUS.OK);
});

test("a status that comes within a message waits for the message's end", async () => {
  const heard = await call((stream) => {
    stream.write(frameMessage(message(200_000, 1)));
    stream.end(GRPC_STATUS.UNAVAILABLE, "the server is stopping");
    assert.equal(stream.write(frameMessage(message(10, 2))), true, "what is written after the end goes nowhere");
  });
  assert.deepEqual(heard.messages, [message(200_000, 1)]);
  assert.equal(heard.status, GRPC_STATUS.UNAVAILABLE);
});

test("a client that reads nothing of a message is cut off when its stream has ended, and holds nobody up", async () => {
  const silent = call((stream) => {
    stream.write(frameMessage(message(1_000_000, 1)));
    stream.end(GRPC_STATUS.UNAVAILABLE, "the server is stopping");
  }, false);
  const { status, reset } = await silent;
  assert.deepEqual([status, reset], [null, http2.constants.NGHTTP2_CANCEL]);
});
