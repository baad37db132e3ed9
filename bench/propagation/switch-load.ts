/**
 * Load and eyes of the propagation benchmark, a process of its own: keep-alive connections, a known number on each worker, and two
 * upstreams whose answers say which target served. Each millisecond some connections send; per worker the first answer of the new
 * target and the last request that still got the old one enclose its switch. Times are the machine's monotonic clock, so that they
 * compare with those of the process that pushes.
 */
import { connect, createServer, type Socket } from "node:net";

export type LoadCommand =
  | { do: "upstreams" }
  | {
      do: "connect";
      group: string;
      port: number;
      adminPort: number;
      workers: number;
      perWorker: number;
      request: string;
    }
  /** Sends at `perTick` requests per millisecond until `finish`; `from` is the target that serves now. */
  | { do: "begin"; group: string; perTick: number; from: string; warmMs: number }
  /** Waits until every worker has answered with another target, goes on for `afterMs`, then reports. */
  | { do: "finish"; afterMs: number; timeoutMs: number };

export interface WorkerSwitch {
  /** Arrival of the first answer of the new target; monotonic milliseconds. */
  firstNewMs: number;
  /** Sending time of the last request that the old target answered. */
  lastOldMs: number;
  /** Answers of the old target to requests sent after `firstNewMs`. */
  back: number;
}

export type LoadReport =
  | { say: "upstreams"; ports: [number, number] }
  | { say: "connected"; perWorker: number[] }
  | { say: "running"; answers: number }
  | { say: "switched"; workers: WorkerSwitch[]; answers: number; bad: number }
  | { say: "failed"; why: string };

export const TARGET_NAMES = ["a", "b"] as const;
const WARM_TIMEOUT_MS = 5_000;
const MAX_TRIES_PER_CONNECTION = 40;

export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

interface Connection {
  socket: Socket;
  worker: number;
  sentMs: number;
  busy: boolean;
  rest: string;
}

interface Watch {
  connections: readonly Connection[];
  from: string;
  workers: WorkerSwitch[];
  answers: number;
  bad: number;
  next: number;
  timer: NodeJS.Timeout;
}

const groups = new Map<string, { connections: Connection[]; request: Buffer }>();
let watch: Watch | null = null;

function upstream(name: string): Promise<number> {
  const answer = Buffer.from(`HTTP/1.1 200 OK\r\nx-target: ${name}\r\ncontent-length: 0\r\n\r\n`);
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      // Envoy sends one request at a time on a connection, without a body.
      if (chunk.length >= 4 && chunk.readUInt32BE(chunk.length - 4) === 0x0d0a0d0a) socket.write(answer);
    });
  });
  return new Promise((done) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("a TCP server has no port");
      done(address.port);
    });
  });
}

/** Connections accepted per worker, by Envoy's own count. */
async function accepted(adminPort: number, port: number, workers: number): Promise<number[]> {
  const page = await fetch(`http://127.0.0.1:${adminPort}/stats?filter=_${port}.worker_.*downstream_cx_total`);
  const text = await page.text();
  const counts = new Array<number>(workers).fill(0);
  for (const [, worker, count] of text.matchAll(/worker_(\d+)\.downstream_cx_total: (\d+)/g))
    counts[Number(worker)] = Number(count);
  return counts;
}

async function open(command: Extract<LoadCommand, { do: "connect" }>): Promise<number[]> {
  const { workers, perWorker, port, adminPort } = command;
  const connections: Connection[] = [];
  const have = new Array<number>(workers).fill(0);
  for (let tries = 0; connections.length < workers * perWorker; tries++) {
    if (tries > workers * perWorker * MAX_TRIES_PER_CONNECTION)
      throw new Error(`connections per worker: ${have.join()}`);
    const before = await accepted(adminPort, port, workers);
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await new Promise<void>((done, fail) => socket.once("connect", done).once("error", fail));
    let worker = -1;
    while (worker < 0) {
      const after = await accepted(adminPort, port, workers);
      worker = after.findIndex((count, index) => count > (before[index] ?? 0));
    }
    if ((have[worker] as number) >= perWorker) {
      socket.destroy();
      continue;
    }
    have[worker] = (have[worker] as number) + 1;
    const connection: Connection = { socket, worker, sentMs: 0, busy: false, rest: "" };
    socket.on("data", (chunk: Buffer) => receive(connection, chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      if (watch !== null) watch.bad++;
    });
    connections.push(connection);
  }
  // Neighbours in the order of sending are on different workers.
  const order = connections.map((connection, index) => ({
    connection,
    rank: connections.slice(0, index).filter(({ worker }) => worker === connection.worker).length,
  }));
  order.sort((a, b) => a.rank - b.rank || a.connection.worker - b.connection.worker);
  groups.set(command.group, {
    connections: order.map(({ connection }) => connection),
    request: Buffer.from(command.request, "latin1"),
  });
  return have;
}

function receive(connection: Connection, chunk: Buffer): void {
  const text = connection.rest + chunk.toString("latin1");
  if (!text.endsWith("\r\n\r\n")) {
    connection.rest = text;
    return;
  }
  connection.rest = "";
  connection.busy = false;
  if (watch === null) return;
  const nowMs = monotonicMs();
  watch.answers++;
  const target = /\r\nx-target: (\w+)\r\n/.exec(text)?.[1];
  if (!text.startsWith("HTTP/1.1 200") || target === undefined) {
    watch.bad++;
    return;
  }
  const worker = watch.workers[connection.worker] as WorkerSwitch;
  if (target !== watch.from) worker.firstNewMs = Math.min(worker.firstNewMs, nowMs);
  else if (connection.sentMs > worker.firstNewMs) worker.back++;
  else worker.lastOldMs = Math.max(worker.lastOldMs, connection.sentMs);
}

function begin(command: Extract<LoadCommand, { do: "begin" }>): void {
  const group = groups.get(command.group);
  if (group === undefined) throw new Error(`no connections for ${command.group}`);
  const { connections, request } = group;
  const workers = Math.max(...connections.map(({ worker }) => worker)) + 1;
  const current: Watch = {
    connections,
    from: command.from,
    workers: Array.from({ length: workers }, () => ({ firstNewMs: Number.POSITIVE_INFINITY, lastOldMs: 0, back: 0 })),
    answers: 0,
    bad: 0,
    next: 0,
    timer: setInterval(() => {
      let budget = command.perTick;
      for (let looked = 0; looked < connections.length && budget > 0; looked++) {
        const connection = connections[current.next++ % connections.length] as Connection;
        if (connection.busy) continue;
        connection.busy = true;
        connection.sentMs = monotonicMs();
        connection.socket.write(request);
        budget--;
      }
    }, 1),
  };
  watch = current;
}

function warm(): boolean {
  return watch?.workers.every(({ lastOldMs }) => lastOldMs > 0) === true;
}

async function finish(command: Extract<LoadCommand, { do: "finish" }>): Promise<LoadReport> {
  const current = watch as Watch;
  const deadline = monotonicMs() + command.timeoutMs;
  while (current.workers.some(({ firstNewMs }) => firstNewMs === Number.POSITIVE_INFINITY)) {
    if (monotonicMs() > deadline) throw new Error("a worker did not switch");
    await pause(2);
  }
  await pause(command.afterMs);
  clearInterval(current.timer);
  while (current.connections.some(({ busy }) => busy) && monotonicMs() < deadline) await pause(1);
  watch = null;
  return { say: "switched", workers: current.workers, answers: current.answers, bad: current.bad };
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

async function obey(command: LoadCommand): Promise<LoadReport> {
  switch (command.do) {
    case "upstreams":
      return { say: "upstreams", ports: [await upstream("a"), await upstream("b")] };
    case "connect":
      return { say: "connected", perWorker: await open(command) };
    case "begin":
      begin(command);
      await pause(command.warmMs);
      // On a busy machine the first answers may take longer; a push before every worker has answered would see nothing.
      for (const until = monotonicMs() + WARM_TIMEOUT_MS; !warm() && monotonicMs() < until; ) await pause(2);
      return { say: "running", answers: watch?.answers ?? 0 };
    case "finish":
      return finish(command);
  }
}

if (process.send !== undefined) {
  process.on("message", (command: LoadCommand) => {
    obey(command).then(
      (report) => process.send?.(report),
      (cause: unknown) =>
        process.send?.({ say: "failed", why: cause instanceof Error ? cause.message : String(cause) }),
    );
  });
  process.on("disconnect", () => process.exit(0));
}
