import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { DEMO_HEADERS } from "../envoy/demo.ts";
import { seededRandom } from "./random.ts";
import { ServiceQueue } from "./service-queue.ts";

/**
 * One target of the demo as a process of its own: an HTTP server whose capacity really limits it.
 *
 *     node demo/backend.ts --target payments-site-a --port 10010 --capacity 240 --seed 1
 *
 * Answers every path after its turn in the queue, `/healthz` and `/stats` at once. It says {"ready": true} to its parent when it
 * listens, and ends when the parent's channel closes.
 */
const { values } = parseArgs({
  options: {
    target: { type: "string" },
    port: { type: "string" },
    capacity: { type: "string" },
    seed: { type: "string" },
  },
});
const target = values.target ?? "target";
const capacityRps = Number(values.capacity);
const random = seededRandom(Number(values.seed ?? 1));
const queue = new ServiceQueue({ capacityRps });
const counts = { target, served: 0, refused: 0 };
const headers = { [DEMO_HEADERS.servedBy]: target, "content-type": "text/plain" };

const server = createServer((request, response) => {
  if (request.url === "/healthz") {
    response.writeHead(200, headers).end("ok\n");
    return;
  }
  if (request.url === "/stats") {
    response.writeHead(200, headers).end(JSON.stringify(counts));
    return;
  }
  const nowMs = performance.now();
  // Half to one and a half times the mean, so that latencies have a spread but the capacity stays what it is.
  const endMs = queue.admit(nowMs, 0.5 + random());
  if (endMs === null) {
    counts.refused++;
    response.writeHead(503, headers).end("queue full\n");
    return;
  }
  setTimeout(() => {
    counts.served++;
    response.writeHead(200, headers).end(`${target}\n`);
  }, endMs - nowMs);
});
// Envoy keeps its connections for as long as it likes; Node's default of 5 s would close them under its feet.
server.keepAliveTimeout = 0;
server.maxConnections = 2048;
server.listen(Number(values.port), "127.0.0.1", () => process.send?.({ ready: true }));
server.on("error", (error) => {
  process.stderr.write(`${target}: ${error.message}\n`);
  process.exit(1);
});
process.on("disconnect", () => process.exit(0));
