import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { TableSet } from "../../control/table/table.ts";
import { Client, Load } from "../e2e/fixture/client.ts";
import { type RunningEnvoy, startEnvoy } from "../e2e/fixture/envoy.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { Rig } from "../e2e/fixture/rig.ts";
import { BASE } from "../e2e/fixture/steered-envoy.ts";
import { startUpstreams } from "../e2e/fixture/upstreams.ts";
import { until } from "../e2e/fixture/wait.ts";
import { set } from "../host/fixtures.ts";
import { Seeded } from "../race/seeded.ts";
import { hostileInput } from "./hostile-input.ts";
import { HostileServer } from "./hostile-server.ts";

const requirements = await requireEnvoy();
/** Of hostility, in each of two rounds. BALLAST_FUZZ_ENVOY_SECONDS makes it longer. */
const SECONDS = Number(process.env.BALLAST_FUZZ_ENVOY_SECONDS ?? 5);
const SEED = Number(process.env.BALLAST_FUZZ_ENVOY_SEED ?? 1);
const SLOTS = 256;
/** Of the good sets: a mutated message may name any number, and what the filter saw last must have a later one. */
const LAST_NUMBER = (1n << 64n) - 1n;
const LOAD_RPS = 150;
/** Sent in one go. */
const BURST = 100;

/** All requests of both services go to one place, so that every single answer tells the epoch. */
function setOf(place: "a" | "b"): TableSet {
  const other = place === "a" ? "b" : "a";
  const service = (name: string): { order: Record<string, number> } => ({
    order: { [`${name}-${place}`]: SLOTS, [`${name}-${other}`]: 0 },
  });
  return set({ payments: service("payments"), quotes: service("quotes") });
}

describe("a hostile control server", { skip: requirements.skip }, () => {
  let rig: Rig;
  let server: HostileServer;
  let envoy: RunningEnvoy;
  before(async () => {
    rig = await Rig.open();
    const upstreams = await startUpstreams(rig, BASE);
    server = await HostileServer.start(rig);
    envoy = await startEnvoy(rig, { requirements, services: upstreams.services, xdsPort: server.port, concurrency: 2 });
    await until("the filter subscribes", () => server.connected);
  });
  after(() => rig?.close());

  /** Burst after burst, on stream after stream, for the time given. Returns how many were sent and how many surely read. */
  async function attack(random: Seeded, never: TableSet): Promise<{ sent: number; read: number }> {
    const endMs = performance.now() + SECONDS * 1_000;
    let sent = 0;
    let read = 0;
    while (performance.now() < endMs) {
      if (!server.connected) await sleep(5);
      else if (random.chance(0.003)) server.hangUp(random.chance(0.5));
      else {
        let swallows = false;
        for (let i = 0; i < BURST; i++) {
          const { bytes, raw } = hostileInput(random, never);
          // A valid prefix of random length: what follows, gigabytes of it, is that message to Envoy, and no fence is ever read.
          if (raw && bytes[0]! <= 1) swallows = true;
          if (!server.send(bytes, raw)) await server.drained();
        }
        sent += BURST;
        if (swallows) server.hangUp(false);
        else if (await server.fence()) read += BURST;
      }
    }
    return { sent, read };
  }

  test("traps no VM, fails no request, changes nothing that serves, and the next good epoch is taken", async (t) => {
    const random = new Seeded(SEED);
    const client = new Client(rig, envoy.port);
    let epoch = LAST_NUMBER - 2n;
    const total = { sent: 0, read: 0 };
    await server.deploy(1n, 0n, setOf("a"));
    for (const [place, next] of [
      ["a", "b"],
      ["b", "a"],
    ] as const) {
      const load = new Load(rig, { port: envoy.port, services: ["payments", "quotes"], rps: LOAD_RPS, cookies: 50 });
      const { sent, read } = await attack(random, setOf(next));
      await load.stop();
      total.sent += sent;
      total.read += read;
      assert.ok(load.answers.length > 0);
      assert.deepEqual(load.failed.slice(0, 3), []);
      const strangers = load.answers.filter(({ service, servedBy }) => servedBy !== `${service}-${place}`);
      assert.deepEqual(strangers.slice(0, 3), []);
      assert.deepEqual(await envoy.traps(), []);
      server.hangUp(false);
      await server.deploy(++epoch, LAST_NUMBER, setOf(next));
      for (const service of ["payments", "quotes"]) {
        for (const answer of await client.askInTurn(service, 20)) assert.equal(answer.servedBy, `${service}-${next}`);
      }
    }
    const { answered, refused, streams } = server;
    t.diagnostic(
      `${total.sent} hostile inputs on ${streams} streams, at least ${total.read} read, ${answered} answered, ${refused} of these refusals`,
    );
    assert.ok(total.read > 1_000, "the filter has read next to nothing of it");
  });
});
