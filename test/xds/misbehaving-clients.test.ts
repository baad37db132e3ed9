/** Clients that do not keep to the protocol, and fleets that come all at once, over real streams of a gRPC client that is not ours (grpc-js). */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import { systemClock } from "../../common/clock.ts";
import { epochOf, TYPE_URL } from "../../control/xds/resources.ts";
import { startXdsServer, type XdsLimits, type XdsServer } from "../../control/xds/server.ts";
import { SimulatedFilter, type SimulatedFilterOptions } from "../../control/xds/simulated-filter.ts";
import { testSet } from "../../control/xds/test-sets.ts";
import { until } from "../e2e/fixture/wait.ts";

const undo: (() => unknown)[] = [];
after(async () => {
  for (const step of undo.reverse()) await step();
});

const log = { info: () => {}, warn: () => {}, error: () => {} };
const all = { term: 1, deadlineMs: 30_000, quorum: "all" } as const;
const shares = (epoch: number) => ({ payments: 100_000 + epoch * 1_000, quotes: 500_000 });

async function start(limits: XdsLimits = {}): Promise<XdsServer> {
  const options = { address: "127.0.0.1:0", fleet: "demo", log, clock: systemClock };
  const server = await startXdsServer({ ...options, limits: { stopMs: 200, ...limits } });
  undo.push(() => server.stop());
  return server;
}

function filter(server: XdsServer, id: string, change: Partial<SimulatedFilterOptions> = {}): SimulatedFilter {
  const made = new SimulatedFilter({ port: server.port, fleet: "demo", id, instance: "1", ...change });
  undo.push(() => made.close());
  return made.open();
}

const connected = (server: XdsServer): number => server.fleet.nodes().filter((node) => node.connected).length;

test("a node that refuses for ever stops the fleet twice, then has no vote, and the others go on without it", async () => {
  const server = await start();
  const good = filter(server, "good");
  const sour = filter(server, "sour", { refuseStage: () => "SET_TOO_LARGE" });
  await until("both are in", () => connected(server) === 2);
  for (const epoch of [1, 2]) {
    const refused = await server.fleet.stage(testSet(shares(epoch)), { ...all, epoch });
    assert.deepEqual([refused.result, refused.reason], ["refused", "sour: SET_TOO_LARGE"]);
  }
  for (let epoch = 3; epoch <= 12; epoch++) {
    const staged = await server.fleet.stage(testSet(shares(epoch)), { ...all, epoch });
    assert.deepEqual(
      staged.nodes.map(({ id }) => id),
      ["good"],
    );
    await server.fleet.activate({ epoch, mode: "steer", deadlineMs: 30_000 });
  }
  assert.equal(epochOf(good.activeVersion), 12);
  assert.equal(sour.activeVersion, "");
});

test("a node that never answers is sent each type once and no second time until it does", async () => {
  const server = await start();
  const mute = filter(server, "mute");
  mute.send = () => {};
  await until("it is in", () => connected(server) === 1);
  for (let epoch = 1; epoch <= 3; epoch++) {
    const late = await server.fleet.stage(testSet(shares(epoch)), { ...all, epoch, deadlineMs: 50 });
    assert.equal(late.result, "timed_out");
  }
  // One Stage per epoch, each the newest then, and no table: it asked for none.
  assert.deepEqual(
    mute.events.map((event) => event.kind),
    ["stage", "stage", "stage"],
  );
});

test("answers to older responses and types that nobody serves change nothing and are not answered", async () => {
  const server = await start();
  const node = filter(server, "edge-1");
  await until("it is in", () => connected(server) === 1);
  await server.fleet.stage(testSet(shares(1)), { ...all, epoch: 1 });
  await server.fleet.activate({ epoch: 1, mode: "steer", deadlineMs: 30_000 });
  const before = node.events.length;
  for (let i = 0; i < 50; i++) {
    node.send({ typeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster", resourceNames: ["demo"] });
    node.send({
      typeUrl: TYPE_URL.stage,
      resourceNames: ["demo"],
      responseNonce: `old-${i}`,
      error: "a stale refusal",
    });
  }
  const next = await server.fleet.stage(testSet(shares(2)), { ...all, epoch: 2 });
  assert.equal(next.result, "proved");
  assert.deepEqual(
    node.events.slice(before).filter(({ kind }) => kind === "stage"),
    [{ kind: "stage", epoch: 2 }],
  );
});

test("calls of other methods, compressed messages and oversize messages end with the status that gRPC names", async () => {
  const server = await start({ maxRequestBytes: 1_000 });
  const path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
  const ends = (method: string, message: Buffer, options: grpc.ChannelOptions = {}): Promise<number> => {
    const client = new grpc.Client(`127.0.0.1:${server.port}`, grpc.credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      ...options,
    });
    undo.push(() => client.close());
    const identity = (bytes: Buffer) => bytes;
    const call = client.makeBidiStreamRequest(method, identity, identity);
    call.on("error", () => {});
    call.on("data", () => {});
    call.write(message);
    return new Promise((done) => call.on("status", ({ code }) => done(code)));
  };
  assert.equal(await ends("/ballast.Nothing/Here", Buffer.alloc(1)), grpc.status.UNIMPLEMENTED);
  assert.equal(await ends(path, Buffer.alloc(1_001)), grpc.status.RESOURCE_EXHAUSTED);
  const gzip = { "grpc.default_compression_algorithm": 2 };
  assert.equal(await ends(path, Buffer.alloc(900), gzip), grpc.status.UNIMPLEMENTED);
});

test("a fleet that comes back all at once is let in at the rate, each node with what it held, and none is lost", async () => {
  const nodes = 200;
  const server = await start({ connectsPerSecond: 400, connectBurst: 20 });
  const filters = Array.from({ length: nodes }, (_, i) => filter(server, `edge-${i}`));
  await until("all are in", () => connected(server) === nodes);
  await server.fleet.stage(testSet(shares(1)), { ...all, epoch: 1 });
  const active = await server.fleet.activate({ epoch: 1, mode: "steer", deadlineMs: 30_000 });
  assert.equal(active.acks, nodes);

  for (const node of filters) node.close();
  await until("all are gone", () => connected(server) === 0);
  const before = filters.map((node) => node.events.length);
  for (const node of filters) node.open();
  // Those who are in are served while the others wait at the gate.
  await until("the first are in", () => connected(server) > 0);
  const early = await server.fleet.stage(testSet(shares(2)), { ...all, epoch: 2 });
  assert.equal(early.result, "proved");
  await server.fleet.activate({ epoch: 2, mode: "steer", deadlineMs: 30_000 });
  await until("every node uses the new epoch", () => filters.every((node) => epochOf(node.activeVersion) === 2));
  for (const [i, node] of filters.entries()) {
    const heard = node.events.slice(before[i]).filter(({ kind }) => kind === "stage");
    assert.deepEqual(heard, [{ kind: "stage", epoch: 2 }]);
  }
});
