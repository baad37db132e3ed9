import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Answer, Client, Load } from "../e2e/fixture/client.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { until } from "../e2e/fixture/wait.ts";
import { Stand } from "./fixture/stand.ts";

const requirements = await requireEnvoy();
const linux = process.platform === "linux" ? requirements.skip : "Envoy's hot restart needs Linux";

/** Base ids of hot restart name shared memory of the whole machine: one that no other Envoy here is likely to have. */
const BASE_ID = 10_000 + (process.pid % 20_000);

describe("a hot restart under load", { skip: linux }, () => {
  let stand: Stand;
  let load: Load;
  before(async () => {
    stand = await Stand.start({ requirements, routes: { form: "header-route" }, concurrency: 2, baseId: BASE_ID });
    await stand.fleet.release({ payments: { weights: { "payments-a": 100, "payments-b": 0 } } });
    load = new Load(stand.rig, { port: stand.envoy.port, services: ["payments"], rps: 150 });
  });
  after(() => stand?.close());

  const connected = (): number => stand.fleet.xds.fleet.nodes().filter((node) => node.connected).length;
  const kinds = (answers: readonly Answer[]): string[] => [
    ...new Set(answers.map(({ status, route, servedBy }) => `${status} ${route} ${servedBy}`)),
  ];

  test("gives the new process a stream and an instance of its own, under the same node", async () => {
    const old = stand.envoy;
    stand.envoy = await stand.launch(old.port, old.adminPort, 1);
    await until("two streams", () => connected() === 2);
    const nodes = stand.fleet.xds.fleet.nodes().filter((node) => node.connected);
    assert.deepEqual(new Set(nodes.map(({ id }) => id)), new Set(["edge-1"]));
    assert.equal(new Set(nodes.map(({ instance }) => instance)).size, 2);
  });

  test("both follow the next epoch while the old one drains", async () => {
    await stand.fleet.release({ payments: { weights: { "payments-a": 0, "payments-b": 100 } } });
    // A fresh connection reaches the new process, which has taken the set in force in the meantime.
    assert.deepEqual(kinds(await new Client(stand.rig, stand.envoy.port).askInTurn("payments", 30)), [
      "200 steered payments-b",
    ]);
  });

  test("when the old process has ended, its stream is gone and epochs go on", async () => {
    await until("one stream", () => connected() === 1);
    await stand.fleet.release({ payments: { weights: { "payments-a": 100, "payments-b": 0 } } });
    assert.deepEqual(kinds(await new Client(stand.rig, stand.envoy.port).askInTurn("payments", 30)), [
      "200 steered payments-a",
    ]);
  });

  test("no request failed, and no VM trapped", async (t) => {
    await load.stop();
    assert.deepEqual(load.failed, []);
    const unsteered = load.answers.filter(({ route }) => route === "static");
    // The new process knows no set until its first stream brings one; its static route answers until then.
    t.diagnostic(`${unsteered.length} of ${load.answers.length} requests took the static route meanwhile`);
    const lastUnsteered = Math.max(0, ...unsteered.map(({ sentMs }) => sentMs));
    assert.ok(load.answers.filter(({ sentMs }) => sentMs > lastUnsteered).length > load.answers.length / 2);
    assert.deepEqual(await stand.envoy.traps(), []);
  });
});
