import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Child, startPinned } from "./child.ts";
import { type Built, buildNative, ROOT } from "./native-build.ts";
import { scratchFolder } from "./scratch.ts";

/** What one run observed. Latencies in microseconds; `by[i]` counts answers of upstream i. */
export interface LoadResult {
  done: number;
  /** Answers other than 200, and connections that broke with a request in flight. */
  bad: number;
  seconds: number;
  by: number[];
  p50_us: number;
  p90_us: number;
  p99_us: number;
  max_us: number;
}

export interface OpenLoad {
  port: number;
  count: number;
  /** Requests per second. */
  rate: number;
  /** Seed of the arrival times: the same seed gives the same arrivals to every row of a round. */
  seed: number;
  /** Index of the first request in the request file. */
  first?: number;
  /** Never sleep: spares the wake-up time of an idle core, at the price of that core. */
  spin?: boolean;
}

export interface LoadGenerator {
  child: Child;
  /** Opens connections to a port until `connections` (≤ 256) are idle. */
  connect(port: number, connections: number): Promise<void>;
  /** As fast as the answers come with `parallel` requests in flight; `count` ≤ 2,097,152. */
  closed(load: { port: number; count: number; parallel: number; first?: number }): Promise<LoadResult>;
  /** Poisson arrivals at a fixed rate, whatever comes back; latency counts from the scheduled time. */
  open(load: OpenLoad): Promise<LoadResult>;
  /** Upstream index per request of the last run, in request order; -1 where an answer named none. */
  picks(): Promise<Int8Array>;
  stop(): Promise<void>;
}

/** Compiles load/ with the machine's C compiler, once per content. */
export function buildLoadGenerator(): Promise<Built> {
  return buildNative({
    sources: join(ROOT, "bench/lib/load"),
    command: (folder) => [process.env.CC ?? "cc", "-O2", "-o", join(folder, "load"), "main.c", "net.c", "-lm"],
    output: "load",
  });
}

/** Starts the generator with its upstreams on one core. `requests` are whole HTTP/1.1 requests without bodies. */
export async function startLoadGenerator(options: {
  binary: string;
  core: number;
  requests: readonly string[];
  upstreamPorts: readonly number[];
}): Promise<LoadGenerator> {
  const folder = scratchFolder();
  const file = join(folder, "requests");
  await writeFile(file, Buffer.concat(options.requests.map(framed)));
  const child = startPinned(options.core, options.binary, [file, ...options.upstreamPorts.map(String)]);
  const { stdin, stdout } = child.process;
  if (stdin === null || stdout === null) throw new Error("the load generator has no pipes");
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<Record<string, unknown>> => {
    const line = await lines.next();
    if (line.done) throw new Error(`the load generator ended: ${child.complaint()}`);
    return JSON.parse(line.value) as Record<string, unknown>;
  };
  const ask = async <T>(command: string): Promise<T> => {
    stdin.write(`${command}\n`);
    const reply = await answer();
    if (reply.error !== undefined) throw new Error(`load generator, ${command}: ${String(reply.error)}`);
    return reply as T;
  };
  await answer(); // ready
  return {
    child,
    connect: async (port, connections) => {
      await ask(`connect ${port} ${connections}`);
    },
    closed: ({ port, count, parallel, first = 0 }) => ask(`closed ${port} ${first} ${count} ${parallel}`),
    open: ({ port, count, rate, seed, first = 0, spin = true }) =>
      ask(`open ${port} ${first} ${count} ${rate} ${seed} 1 ${spin ? 1 : 0}`),
    picks: async () => {
      const path = join(folder, "picks");
      await ask(`picks ${path}`);
      return Int8Array.from(await readFile(path), (byte) => (byte >= 48 && byte !== 63 ? byte - 48 : -1));
    },
    stop: async () => {
      stdin.end();
      await child.stop();
    },
  };
}

function framed(request: string): Buffer {
  const body = Buffer.from(request, "latin1");
  const head = Buffer.alloc(4);
  head.writeUInt32LE(body.length);
  return Buffer.concat([head, body]);
}
