/**
 * A whole fleet that breaks off and comes back at once, again and again, over raw connections of a process of its own: the quick
 * version of what `bench -- propagation --fleet` does with 10,000. BALLAST_STORM_NODES=10000 runs it at that size.
 */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { after, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { ClientsCommand, ClientsReport } from "../../bench/propagation/fleet-clients.ts";
import { systemClock } from "../../common/clock.ts";
import { startXdsServer } from "../../control/xds/server.ts";
import { testSet } from "../../control/xds/test-sets.ts";
import { until } from "../e2e/fixture/wait.ts";

const NODES = Number(process.env.BALLAST_STORM_NODES ?? 1_000);
const STORMS = 4;
const log = { info: () => {}, warn: () => {}, error: () => {} };
const undo: (() => unknown)[] = [];
after(async () => {
  for (const step of undo.reverse()) await step();
});

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
/** What is alive, after two collections: finalizers of the first free what the second finds. */
function liveBytes(): number {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function ask<Kind extends ClientsReport["say"]>(
  clients: ChildProcess,
  command: ClientsCommand,
): Promise<Extract<ClientsReport, { say: Kind }>> {
  clients.send(command);
  const [report] = (await once(clients, "message")) as [ClientsReport];
  assert.notEqual(report.say, "failed", JSON.stringify(report));
  return report as Extract<ClientsReport, { say: Kind }>;
}

test(`${NODES} nodes that all come back at once are all let in, hold what they held, and leave nothing behind`, async () => {
  const server = await startXdsServer({
    address: "127.0.0.1:0",
    fleet: "demo",
    log,
    clock: systemClock,
    // A small burst, so that most of a storm waits at the gate.
    limits: { stopMs: 200, keepaliveTimeoutMs: 120_000, connectBurst: 100 },
  });
  undo.push(() => server.stop());
  const clients = fork("bench/propagation/fleet-clients.ts");
  undo.push(() => clients.kill());
  const options = { port: server.port, fleet: "demo", nodes: NODES, parallel: 64 };
  await ask(clients, { do: "connect", options });
  const using = (version: string) =>
    server.fleet.nodes().filter((node) => node.connected && node.activeVersion === version).length;

  let epoch = 0;
  const push = async (): Promise<{ version: string; acks: number }> => {
    epoch += 1;
    const set = testSet({ payments: 300_000 + epoch * 10_000, quotes: 500_000 });
    const staged = await server.fleet.stage(set, { epoch, term: 1, deadlineMs: 120_000, quorum: "whoever" });
    assert.equal(staged.ok, true, staged.reason);
    return server.fleet.activate({ epoch, mode: "steer", deadlineMs: 120_000 });
  };
  await until("all are in", () => using("") === NODES);
  const { version, acks } = await push();
  assert.equal(acks, NODES);

  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, server.streams());
  }, 5);
  undo.push(() => clearInterval(watch));
  const live: number[] = [];
  for (let storm = 0; storm < STORMS; storm++) {
    const { refused } = await ask<"stormed">(clients, { do: "storm" });
    assert.equal(refused, 0, "who waits at the gate is not turned away");
    // Each says what it holds, so none is sent the set again.
    await until("all are back with what they held", () => using(version) === NODES);
    live.push(liveBytes());
  }
  assert.ok(most <= 2 * NODES, `${most} streams at once: the old ones of a node are gone when its new one is in`);
  assert.equal(server.fleet.nodes().length, NODES, "a node that comes back is the same node");
  const [first, last] = [live[0]!, live.at(-1)!];
  assert.ok(last < first * 1.2, `live memory after each storm, bytes: ${live}`);
  // And the fleet works: an epoch reaches all of them.
  const next = await push();
  assert.equal(next.acks, NODES);
  const account = await ask<"account">(clients, { do: "account", version: next.version });
  assert.deepEqual([account.active, account.lost], [NODES, 0]);
});
