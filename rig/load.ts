import { setTimeout as sleep } from "node:timers/promises";
import { type Seen, WatchedLoad } from "../test/faults/watched-load.ts";
import * as at from "./layout.ts";
import { rigConfig, rigServices } from "./services.ts";

/** Requests per second to each Envoy. */
const RPS = 100;
const REPORT_MS = 5_000;

/**
 * A load on both Envoys. Every five seconds, and at the end, one line per Envoy: requests, those that failed, those that were not
 * steered, those that another target answered than the filter picked, and the epochs that steered.
 */
const services = rigServices(await rigConfig()).map(({ name }) => name);
const loads = new Map(
  at.EDGES.map((host) => [
    host,
    new WatchedLoad({ later: () => {} }, { host, port: at.EDGE_PORT, services, rps: RPS }),
  ]),
);
const total = { requests: 0, failed: 0, unsteered: 0, mixed: 0 };
let stopping = false;
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => (stopping = true));
while (!stopping) {
  const endMs = performance.now() + REPORT_MS;
  while (!stopping && performance.now() < endMs) await sleep(100);
  for (const [edge, load] of loads) report(edge, load.seen.splice(0));
}
for (const [edge, load] of loads) {
  await load.stop();
  report(edge, load.seen.splice(0));
}
process.stdout.write(`${JSON.stringify({ total })}\n`);

function report(edge: string, seen: readonly Seen[]): void {
  const failed = seen.filter(({ status }) => status !== 200);
  const served = seen.filter(({ status }) => status === 200);
  const unsteered = served.filter(({ picked }) => picked === null).length;
  const mixed = served.filter(({ picked, servedBy }) => picked !== null && picked.target !== servedBy).length;
  const epochs = [...new Set(served.flatMap(({ picked }) => picked?.epoch ?? []))].sort((a, b) => a - b);
  total.requests += seen.length;
  total.failed += failed.length;
  total.unsteered += unsteered;
  total.mixed += mixed;
  const why = failed.length === 0 ? {} : { why: failed[0]!.error ?? `status ${failed[0]!.status}` };
  const line = { edge, requests: seen.length, failed: failed.length, unsteered, mixed, epochs, ...why };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
