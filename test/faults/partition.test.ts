import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { findNats } from "../../scripts/fetch-nats.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { until } from "../e2e/fixture/wait.ts";
import { FleetStand } from "./fleet-stand.ts";
import { Namespace } from "./namespace.ts";

const requirements = await requireEnvoy();
const skip =
  requirements.skip ||
  ((await findNats()) === null && "no nats-server: npm test fetches one") ||
  (process.env.BALLAST_FAULTS !== "all" && "a minute long: BALLAST_FAULTS=all, as in npm run faults");
const TO_NATS = 0;
const TO_ENVOYS = 1;

describe("a control server in a network of its own, mutual TLS to the Envoys", { skip }, () => {
  let namespace: Namespace | null = null;
  let stand: FleetStand | null = null;
  before(async () => {
    namespace = Namespace.open(`bf${process.pid % 10_000}`, 2);
    if (namespace !== null) stand = await FleetStand.start({ requirements, namespace });
  });
  after(async () => {
    await stand?.close();
    namespace?.close();
  });

  /** Makes the server in the namespace the leader, under load. Null: namespaces cannot be made here. */
  async function apartLeads(t: TestContext) {
    if (stand === null || namespace === null) {
      t.skip("network namespaces cannot be made here: they need root and iproute2");
      return null;
    }
    const [apart, other] = stand.servers as [FleetStand["servers"][number], FleetStand["servers"][number]];
    if ((await stand.leader()) !== apart) {
      await other.stop();
      assert.equal((await stand.leader()).name, apart.name);
      await other.start();
      await until("the other waits", async () => (await other.role()) === "standby");
    }
    await stand.flip();
    return { stand, network: namespace, apart, other };
  }

  test("cut from the store: it falls silent, the other leads, the Envoys go there; healed, it waits", async (t) => {
    const it = await apartLeads(t);
    if (it === null) return;
    const { turns } = it.apart;
    it.network.cut(TO_NATS);
    await until("the other leads", async () => (await it.other.role()) === "leader");
    await until("the old one is not ready", async () => (await it.apart.api("GET", "/readyz")).status === 503);
    const made = await it.stand.tryFlip(it.apart);
    assert.equal(typeof made, "string", `cut from its store it made epoch ${made}`);
    it.network.heal(TO_NATS);
    await it.stand.flip();
    await until("the old one waits", async () => (await it.apart.role()) === "standby");
    assert.equal(it.apart.turns, turns);
    await it.stand.flip();
    await it.stand.check();
  });

  test("cut from the Envoys: they go on with what they hold, and catch up when it heals", async (t) => {
    const it = await apartLeads(t);
    if (it === null) return;
    const before = await (await it.stand.store()).head();
    it.network.cut(TO_ENVOYS);
    await sleep(3_000);
    assert.equal((await it.stand.leader()).name, it.apart.name);
    it.network.heal(TO_ENVOYS);
    const after = await it.stand.flip();
    assert.ok(after > before.epoch);
    await it.stand.check();
  });
});
