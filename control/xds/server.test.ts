import assert from "node:assert/strict";
import { after, test } from "node:test";
import { pino } from "pino";
import { systemClock } from "../../common/clock.ts";
import type { BallastError } from "../../common/errors.ts";
import { digestHex } from "../../common/xxh64.ts";
import { epochOf, TYPE_URL, versionOf } from "./resources.ts";
import { startXdsServer, type XdsServer, type XdsServerOptions } from "./server.ts";
import { SimulatedFilter, type SimulatedFilterOptions } from "./simulated-filter.ts";
import { testSet } from "./test-sets.ts";

const servers: XdsServer[] = [];
const filters: SimulatedFilter[] = [];
after(async () => {
  for (const filter of filters) filter.close();
  await Promise.all(servers.map((server) => server.stop()));
});

async function start(change: Partial<XdsServerOptions> = {}): Promise<XdsServer> {
  const server = await startXdsServer({
    address: "127.0.0.1:0",
    fleet: "demo",
    log: pino({ level: "silent" }),
    clock: systemClock,
    limits: { stopMs: 200 },
    ...change,
  });
  servers.push(server);
  return server;
}

function filter(server: XdsServer, id: string, change: Partial<SimulatedFilterOptions> = {}): SimulatedFilter {
  const made = new SimulatedFilter({ port: server.port, fleet: "demo", id, instance: `${id}0`, ...change });
  filters.push(made);
  return made.open();
}

/** Waits until the server knows the node as connected and subscribed: from then on it has a vote. */
async function joined(server: XdsServer, ...ids: string[]): Promise<void> {
  while (!ids.every((id) => server.fleet.nodes().some((node) => node.id === id && node.connected))) await pause();
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 5));
const all = { term: 1, deadlineMs: 20_000, quorum: "all" } as const;

test("a set is staged on every node, its tables are fetched once, and the activation reaches all", async () => {
  const server = await start();
  const a = filter(server, "edge-1");
  const b = filter(server, "edge-2");
  await joined(server, "edge-1", "edge-2");

  const first = testSet({ payments: 600_000, quotes: 450_000 });
  const staged = await server.fleet.stage(first, { ...all, epoch: 1 });
  assert.equal(staged.result, "proved");
  assert.deepEqual(staged.nodes.map((node) => [node.id, node.answer]).sort(), [
    ["edge-1", "ack"],
    ["edge-2", "ack"],
  ]);
  assert.equal(a.activeVersion, "");
  const active = await server.fleet.activate({ epoch: 1, mode: "steer", deadlineMs: 20_000 });
  assert.equal(active.acks, 2);
  assert.equal(a.activeVersion, versionOf(1, first.digest));
  assert.equal(b.mode, 1);

  // The second set changes one table of two: only that one travels.
  const second = testSet({ payments: 600_000, quotes: 500_000 });
  await server.fleet.stage(second, { ...all, epoch: 2 });
  await server.fleet.activate({ epoch: 2, mode: "observe", deadlineMs: 20_000 });
  assert.deepEqual(
    a.events.flatMap((event) => (event.kind === "tables" ? [event.count] : [])),
    [2, 1],
  );
  assert.equal(b.mode, 2);

  // A rollback: an earlier set under a new epoch, without any table.
  await server.fleet.stage(first, { ...all, epoch: 3 });
  const back = await server.fleet.activate({ epoch: 3, mode: "steer", deadlineMs: 20_000 });
  assert.equal(back.acks, 2);
  assert.equal(a.events.filter((event) => event.kind === "tables").length, 2);
  const [node] = server.fleet.nodes();
  assert.equal(node?.activeVersion, versionOf(3, first.digest));
  assert.equal(node?.moduleVersion, "0.1.0");
});

test("one refusal ends the stage at once with its reason, and nothing that serves changes", async () => {
  const server = await start();
  const good = filter(server, "good");
  const bad = filter(server, "bad", { refuseStage: (stage) => (stage.epoch === 2n ? "SET_TOO_LARGE" : null) });
  await joined(server, "good", "bad");
  const set = testSet({ payments: 600_000 });
  await server.fleet.stage(set, { ...all, epoch: 1 });
  await server.fleet.activate({ epoch: 1, mode: "steer", deadlineMs: 20_000 });

  const refused = await server.fleet.stage(testSet({ payments: 700_000 }), { ...all, epoch: 2 });
  assert.equal(refused.ok, false);
  assert.equal(refused.result, "refused");
  assert.match(refused.reason, /bad: SET_TOO_LARGE/);
  assert.equal(server.fleet.nodes().find((node) => node.id === "bad")?.lastNack?.reason, "SET_TOO_LARGE");
  await assert.rejects(server.fleet.activate({ epoch: 2, mode: "steer", deadlineMs: 1_000 }), {
    code: "PUSH_IN_FLIGHT",
  });
  assert.equal(epochOf(good.activeVersion), 1);

  // The next epoch goes through: a refusal has no memory but in the record.
  const third = await server.fleet.stage(testSet({ payments: 800_000 }), { ...all, epoch: 3 });
  assert.equal(third.result, "proved");
  await server.fleet.activate({ epoch: 3, mode: "steer", deadlineMs: 20_000 });
  assert.equal(epochOf(bad.activeVersion), 3);
});

test("with quorum `all` a silent node ends the stage at the deadline; with `whoever` the others carry it", async () => {
  const server = await start();
  filter(server, "good");
  const mute = filter(server, "mute", { answers: false });
  await joined(server, "good", "mute");
  const late = await server.fleet.stage(testSet({ payments: 600_000 }), { ...all, epoch: 1, deadlineMs: 100 });
  assert.equal(late.result, "timed_out");
  assert.equal(late.acks, 1);

  const emergency = await server.fleet.stage(testSet({ payments: 900_000 }), {
    term: 1,
    epoch: 2,
    deadlineMs: 100,
    quorum: "whoever",
  });
  assert.equal(emergency.result, "proved");
  assert.deepEqual(Object.fromEntries(emergency.nodes.map((node) => [node.id, node.answer])), {
    good: "ack",
    mute: "none",
  });
  const active = await server.fleet.activate({ epoch: 2, mode: "steer", deadlineMs: 5_000 });
  assert.deepEqual(
    active.nodes.map((node) => node.id),
    ["good"],
  );

  // Having failed twice, the silent node has no vote; the fleet goes on without it, and it follows when it can.
  const next = await server.fleet.stage(testSet({ payments: 500_000 }), { ...all, epoch: 3 });
  assert.deepEqual(
    next.nodes.map((node) => node.id),
    ["good"],
  );
  await server.fleet.activate({ epoch: 3, mode: "steer", deadlineMs: 5_000 });
  mute.answers = true;
  mute.close();
  mute.open();
  await mute.until(() => epochOf(mute.activeVersion) === 3);
});

test("a node that joins gets the committed epoch at once, also while another is staged, and has no vote", async () => {
  const server = await start();
  const old = filter(server, "old", { refuseStage: () => null });
  await joined(server, "old");
  const set = testSet({ payments: 600_000 });
  await server.fleet.stage(set, { ...all, epoch: 1 });
  await server.fleet.activate({ epoch: 1, mode: "steer", deadlineMs: 20_000 });

  old.answers = false;
  const pending = server.fleet.stage(testSet({ payments: 700_000 }), { ...all, epoch: 2 });
  await old.until(() => old.events.some((event) => event.kind === "stage" && event.epoch === 2));
  const young = filter(server, "young");
  await young.until(() => epochOf(young.activeVersion) === 1);
  assert.equal(epochOf(young.stagedVersion), 1);

  // The old node comes back with the version it held before; it still has its vote and proves now.
  old.close();
  old.answers = true;
  old.open();
  const staged = await pending;
  assert.deepEqual(
    staged.nodes.map((node) => [node.id, node.answer]),
    [["old", "ack"]],
  );
  await server.fleet.activate({ epoch: 2, mode: "steer", deadlineMs: 20_000 });
  await young.until(() => epochOf(young.activeVersion) === 2);
});

test("a node that comes back with the version in force is sent nothing", async () => {
  const server = await start();
  const node = filter(server, "edge-1");
  await joined(server, "edge-1");
  await server.fleet.stage(testSet({ payments: 600_000 }), { ...all, epoch: 1 });
  await server.fleet.activate({ epoch: 1, mode: "steer", deadlineMs: 20_000 });
  const before = node.events.length;
  node.close();
  await node.until(() => node.events.at(-1)?.kind === "closed");
  node.open();
  await joined(server, "edge-1");
  // The next epoch is the first thing it hears of.
  await server.fleet.stage(testSet({ payments: 700_000 }), { ...all, epoch: 2 });
  const heard = node.events.slice(before).filter((event) => event.kind === "stage" || event.kind === "activation");
  assert.deepEqual(heard, [{ kind: "stage", epoch: 2 }]);
});

test("after a restart the server serves the store's epoch and answers for the tables of kept sets", async () => {
  const set = testSet({ payments: 600_000 });
  const earlier = testSet({ payments: 100_000 });
  const restore = { reservedEpoch: 9, committed: { epoch: 7, term: 3, set, mode: "steer" as const }, kept: [earlier] };
  const server = await start({ restore });
  const node = filter(server, "edge-1");
  await node.until(() => node.activeVersion === versionOf(7, set.digest));
  node.send({ typeUrl: TYPE_URL.table, resourceNames: [digestHex(earlier.tables[0]!.digest)], responseNonce: "?" });
  node.close();
  node.open();
  node.send({
    typeUrl: TYPE_URL.table,
    resourceNames: [digestHex(earlier.tables[0]!.digest), digestHex(1n), "nonsense"],
  });
  await node.until(() => node.tables.has(earlier.tables[0]!.digest));
  assert.equal(node.tables.size, 2);
});

test("a node ahead of the store stops all pushing until the epoch is adopted", async () => {
  const found: [string, number][] = [];
  const server = await start({
    restore: { reservedEpoch: 3, committed: null },
    onBehind: (error: BallastError, node, epoch) => found.push([`${error.code} ${node.id}`, epoch]),
  });
  const ahead = filter(server, "ahead");
  ahead.close();
  ahead.stagedVersion = "12-00000000000000aa";
  ahead.open();
  while (found.length === 0) await pause();
  assert.deepEqual(found[0], ["EPOCH_BEHIND_FLEET ahead", 12]);
  assert.equal(server.fleet.status().state, "behind");
  const set = testSet({ payments: 600_000 });
  await assert.rejects(server.fleet.stage(set, { ...all, epoch: 4 }), { code: "EPOCH_BEHIND_FLEET" });
  server.fleet.raiseReserved(server.fleet.highestHeld());
  assert.equal((await server.fleet.stage(set, { ...all, epoch: 13 })).result, "proved");
});

test("a set larger than one response travels in several, each below the bound", async () => {
  const server = await start();
  const node = filter(server, "edge-1");
  await joined(server, "edge-1");
  const shares = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`service-${i}`, 500_000 + i * 1_000]));
  const staged = await server.fleet.stage(testSet(shares, 8_192), { ...all, epoch: 1 });
  assert.equal(staged.result, "proved");
  const sizes = node.events.flatMap((event) => (event.kind === "tables" ? [event.bytes] : []));
  assert.equal(sizes.length, 3);
  assert.ok(sizes.every((bytes) => bytes < 128 * 1024));
  assert.equal(node.tables.size, 20);
});

test("a reader that stands still is sent only the newest epochs once it reads again", async () => {
  const server = await start();
  const slow = filter(server, "slow", { answers: false });
  await joined(server, "slow");
  slow.call!.pause();
  const epochs = 60;
  // Large Stage messages, so that the windows of HTTP/2 fill.
  const names = Array.from({ length: 60 }, (_, i) => `${"s".repeat(100)}-${i}`);
  const sets = [100_000, 200_000].map((ppm) => testSet(Object.fromEntries(names.map((name) => [name, ppm]))));
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const outcome = await server.fleet.stage(sets[epoch % 2]!, { term: 1, epoch, deadlineMs: 5, quorum: "whoever" });
    assert.equal(outcome.result, "timed_out");
  }
  slow.answers = true;
  slow.call!.resume();
  const set = testSet({ payments: 600_000 });
  assert.equal((await server.fleet.stage(set, { ...all, epoch: 100 })).acks, 1);
  await server.fleet.activate({ epoch: 100, mode: "steer", deadlineMs: 5_000 });
  await slow.until(() => epochOf(slow.activeVersion) === 100);
  const heard = slow.events.filter((event) => event.kind === "stage").length;
  assert.ok(heard < epochs, `${heard} of ${epochs} stages were queued`);
});

test("silence closes every stream and refuses new ones; after it, nodes are served again", async () => {
  const server = await start();
  const node = filter(server, "edge-1");
  await joined(server, "edge-1");
  await server.fleet.stage(testSet({ payments: 600_000 }), { ...all, epoch: 1 });
  await server.fleet.activate({ epoch: 1, mode: "steer", deadlineMs: 20_000 });

  server.fleet.silence("the head of the store cannot be confirmed");
  await node.until(() => node.events.at(-1)?.kind === "closed");
  assert.deepEqual(node.events.at(-1), {
    kind: "closed",
    code: 14,
    details: "the head of the store cannot be confirmed",
  });
  await assert.rejects(server.fleet.stage(testSet({ payments: 1 }), { ...all, epoch: 2 }), { code: "XDS_SILENT" });
  const closed = node.events.length;
  node.close();
  node.open();
  await node.until(() => node.events.slice(closed).some((event) => event.kind === "closed" && event.code === 14));
  server.fleet.resume();
  node.close();
  node.open();
  await joined(server, "edge-1");
  assert.equal((await server.fleet.stage(testSet({ payments: 700_000 }), { ...all, epoch: 2 })).acks, 1);
});

test("an abort makes room for an emergency while a stage is still waiting", async () => {
  const server = await start();
  const mute = filter(server, "mute", { answers: false });
  await joined(server, "mute");
  const waiting = server.fleet.stage(testSet({ payments: 600_000 }), { ...all, epoch: 1 });
  await assert.rejects(server.fleet.stage(testSet({ payments: 1 }), { ...all, epoch: 2 }), { code: "PUSH_IN_FLIGHT" });
  server.fleet.abort("an emergency goes first");
  const outcome = await waiting;
  assert.equal(outcome.result, "aborted");
  assert.equal(outcome.reason, "an emergency goes first");
  mute.answers = true;
  assert.equal((await server.fleet.stage(testSet({ payments: 1 }), { ...all, epoch: 2 })).result, "proved");
});

test("other fleets, unknown types, requests without a node and broken bytes end or leave alone, never harm", async () => {
  const server = await start();
  await server.fleet.stage(testSet({ payments: 600_000 }), { ...all, epoch: 1 });
  await server.fleet.activate({ epoch: 1, mode: "steer", deadlineMs: 1_000 });

  const foreign = filter(server, "foreign", { fleet: "other" });
  await foreign.until(() => foreign.events.at(-1)?.kind === "closed");
  const details = "FLEET_MISMATCH: node foreign is of fleet other, this server of demo";
  assert.deepEqual(foreign.events, [{ kind: "closed", code: 9, details }]);
  const broken = filter(server, "broken");
  broken.call!.write(Buffer.from([0xff, 0xff, 0xff]));
  await broken.until(() => broken.events.at(-1)?.kind === "closed");
  assert.deepEqual(broken.events.at(-1), { kind: "closed", code: 3, details: "the request is not a DiscoveryRequest" });
  const nameless = filter(server, "");
  await nameless.until(() => nameless.events.at(-1)?.kind === "closed");
  assert.equal(
    server.fleet.nodes().some(({ id }) => id === "foreign"),
    false,
  );

  const good = filter(server, "good");
  await good.until(() => epochOf(good.activeVersion) === 1);
});

test("streams beyond the cap are refused, and a second stream of a node replaces the first", async () => {
  const server = await start({ limits: { maxStreams: 2, stopMs: 200 } });
  const first = filter(server, "edge-1");
  filter(server, "edge-2");
  await joined(server, "edge-1", "edge-2");
  const third = filter(server, "edge-3");
  await third.until(() => third.events.at(-1)?.kind === "closed");
  assert.deepEqual(third.events.at(-1), { kind: "closed", code: 8, details: "2 streams are open" });
  filters[filters.length - 2]!.close();
  while (server.streams() > 1) await pause();
  filter(server, "edge-1");
  await first.until(() => first.events.at(-1)?.kind === "closed");
  assert.deepEqual(first.events.at(-1), {
    kind: "closed",
    code: 10,
    details: "replaced by a newer stream of the same node",
  });
});

test("a stream that never says who it is is closed", async () => {
  const server = await start({ limits: { firstRequestMs: 50, stopMs: 200 } });
  const mute = new SimulatedFilter({ port: server.port, fleet: "demo", id: "mute", instance: "0" });
  filters.push(mute);
  mute.send = () => {};
  mute.open();
  await mute.until(() => mute.events.at(-1)?.kind === "closed");
  assert.deepEqual(mute.events.at(-1), { kind: "closed", code: 4, details: "no request came" });
});

test("an address that others can reach is refused without TLS, and a taken port is named", async () => {
  for (const address of ["0.0.0.0:0", "[::]:0", "192.0.2.1:18000", "example.com:18000"]) {
    await assert.rejects(start({ address }), { code: "XDS_TLS_REQUIRED" });
  }
  await assert.rejects(start({ address: "18000" }), { code: "USAGE" });
  const server = await start();
  await assert.rejects(start({ address: `127.0.0.1:${server.port}` }), { code: "PORT_TAKEN" });
});

test("stop ends every stream with UNAVAILABLE and frees the port", async () => {
  const server = await start();
  const node = filter(server, "edge-1");
  await joined(server, "edge-1");
  await server.stop();
  await node.until(() => node.events.at(-1)?.kind === "closed");
  const last = node.events.at(-1);
  assert.ok(last?.kind === "closed" && last.code === 14);
  await start({ address: `127.0.0.1:${server.port}` });
});
