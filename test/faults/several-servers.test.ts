import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { findNats } from "../../scripts/fetch-nats.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { until } from "../e2e/fixture/wait.ts";
import { FleetStand } from "./fleet-stand.ts";

const requirements = await requireEnvoy();
const skip = requirements.skip || ((await findNats()) === null && "no nats-server: npm test fetches one");

describe("two control servers on three NATS servers, two Envoys under load", { skip }, () => {
  let stand: FleetStand;
  before(async () => {
    stand = await FleetStand.start({ requirements });
  });
  after(() => stand?.close());

  test("the one that waits says so, refuses changes, and is not reachable for Envoys", async () => {
    const leader = await stand.leader();
    const other = stand.servers.find((server) => server !== leader)!;
    const ready = await other.api("GET", "/readyz");
    assert.equal(ready.status, 503);
    assert.equal((ready.body as { role: string }).role, "standby");
    assert.equal((await leader.api("GET", "/readyz")).status, 200);
    const refused = await other.api("GET", "/v1/status");
    assert.deepEqual([refused.status, (refused.body as { code: string }).code], [503, "SERVER_STANDBY"]);
    assert.match((refused.body as { message: string }).message, new RegExp(`:${leader.apiPort} leads`));
    await assert.rejects(fetch(`http://127.0.0.1:${other.xdsPort}/`));
    const status = (await leader.api("GET", "/v1/status")).body as { nodes: { id: string; connected: boolean }[] };
    assert.deepEqual(
      status.nodes
        .filter(({ connected }) => connected)
        .map(({ id }) => id)
        .sort(),
      ["edge-1", "edge-2"],
    );
    await stand.check();
  });

  test("SIGKILL of the leader: the other takes over, the Envoys go to it, and epochs go on", async (t) => {
    const leader = await stand.leader();
    const before = await stand.flip();
    const killedAtMs = performance.now();
    await leader.kill();
    const next = await stand.leader();
    const tookMs = performance.now() - killedAtMs;
    assert.notEqual(next.name, leader.name);
    const after = await stand.flip();
    const steeredMs = performance.now() - killedAtMs;
    t.diagnostic(
      `another leads after ${Math.round(tookMs)} ms, all Envoys steer by its epoch after ${Math.round(steeredMs)} ms`,
    );
    assert.ok(after > before);
    await leader.start();
    await until("it waits", async () => (await leader.role()) === "standby");
    await stand.check();
  });

  test("SIGTERM of the leader gives the lead away at once", async () => {
    const leader = await stand.leader();
    await leader.stop();
    assert.notEqual((await stand.leader()).name, leader.name);
    await stand.flip();
    await leader.start();
    await stand.check();
  });

  test("a leader that slept through its lease changes nothing when it wakes up, and waits for its next turn", async () => {
    const old = await stand.leader();
    const turns = old.turns;
    old.signal("SIGSTOP");
    const next = await stand.leader();
    assert.notEqual(next.name, old.name);
    const epoch = await stand.flip();
    const written = (await (await stand.store()).head()).tip.seq;
    old.signal("SIGCONT");
    // Asked for at once, while it may still believe: it is refused by the store, whatever it believes.
    const asked = await stand.tryFlip(old);
    assert.equal(typeof asked, "string", `the old leader made epoch ${asked}`);
    await until("the old leader waits", async () => (await old.role()) === "standby");
    await sleep(500);
    const head = await (await stand.store()).head();
    const since = await (await stand.store()).history({ fromSeq: written + 1, limit: 1000 });
    assert.deepEqual(
      since.filter(({ term }) => term !== head.term),
      [],
      "the old leader wrote",
    );
    assert.ok(head.epoch >= epoch);
    assert.equal(old.turns, turns);
    await stand.flip();
    await stand.check();
  });

  test("the log of all this verifies by the command too", async () => {
    const { exit, text } = await stand.auditCommand();
    assert.equal(exit, 0, text);
    for (const { envoy } of stand.edges) assert.deepEqual(await envoy.traps(), []);
  });
});
