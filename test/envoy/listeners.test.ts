import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { checkConfig } from "../../envoy/check/check-config.ts";
import { type Answer, Client, countServed } from "../e2e/fixture/client.ts";
import { connectionManager, type Json } from "../e2e/fixture/envoy.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { until } from "../e2e/fixture/wait.ts";
import { SLOTS, Stand } from "./fixture/stand.ts";

const requirements = await requireEnvoy();
const { skip } = requirements;

describe("two listeners with one configuration", { skip }, () => {
  let stand: Stand;
  before(async () => {
    stand = await Stand.start({ requirements, routes: { form: "header-route" }, second: {} });
    await stand.fleet.release({ payments: { weights: { "payments-a": 75, "payments-b": 25 } } });
  });
  after(() => stand?.close());

  test("share one stream and one VM per worker", async () => {
    assert.equal(stand.fleet.xds.streams(), 1);
    assert.equal(stand.fleet.xds.fleet.nodes().length, 1);
    // One worker and the main thread.
    await until("both members", async () => (await stand.envoy.stat("wasmcustom.ballast.members")) === 2);
    assert.equal(await stand.envoy.stat("wasmcustom.ballast.config_clash"), 0);
  });

  test("and one order: the picks of both together hit the quotas exactly", async () => {
    const second = new Client(stand.rig, stand.secondPort);
    const answers: Answer[] = [];
    for (let i = 0; i < SLOTS / 2; i++) {
      answers.push(await stand.client.ask("payments"), await second.ask("payments"));
    }
    assert.deepEqual(countServed(answers), { "payments-a": (SLOTS * 3) / 4, "payments-b": SLOTS / 4 });
  });
});

describe("two listeners with different configurations under their own vm_ids", { skip }, () => {
  let stand: Stand;
  before(async () => {
    stand = await Stand.start({
      requirements,
      routes: { form: "header-route" },
      filter: { sessionFrom: { cookie: "sid" } },
      second: { sessionFrom: { header: "x-session" }, vmId: "ballast-second" },
    });
    await until("both streams", () => stand.fleet.xds.streams() === 2);
    await stand.fleet.release({ payments: { weights: { "payments-a": 50, "payments-b": 50 } } });
  });
  after(() => stand?.close());

  test("each keep their own", async () => {
    const second = new Client(stand.rig, stand.secondPort);
    const split = async (client: Client, headers: Record<string, string>): Promise<number> =>
      Object.keys(countServed(await client.askInTurn("payments", 40, headers))).length;
    assert.equal(await split(stand.client, { cookie: "sid=a" }), 1);
    assert.equal(await split(stand.client, { "x-session": "a" }), 2);
    assert.equal(await split(second, { cookie: "sid=a" }), 2);
    assert.equal(await split(second, { "x-session": "a" }), 1);
  });
});

const CLASH = { filter: { sessionFrom: { cookie: "sid" } }, second: { sessionFrom: { header: "x-session" } } } as const;

describe("two listeners with different configurations under one vm_id", { skip }, () => {
  const routes = { form: "header-route" } as const;
  const REFUSED = /ballast: config refused at byte \d+: vm_id in use: take another/;

  test("are refused at the start, with a line that says what to do", async () => {
    const starting = Stand.start({ requirements, routes, ...CLASH });
    await assert.rejects(
      starting.then((stand) => stand.close()),
      REFUSED,
    );
  });

  test("are refused under one name as well, when their root_ids differ", async () => {
    const second = { ...CLASH.second, pluginName: "ballast" };
    const edit = (bootstrap: Json): void => {
      const [, listener] = bootstrap.static_resources.listeners;
      connectionManager(listener).http_filters[0].typed_config.config.root_id = "second";
    };
    const starting = Stand.start({ requirements, routes, ...CLASH, second, edit });
    await assert.rejects(
      starting.then((stand) => stand.close()),
      REFUSED,
    );
  });
});

describe("two listeners with different configurations under one vm_id and one name: an update, as Envoy sees it", {
  skip,
}, () => {
  let stand: Stand;
  before(async () => {
    const second = { ...CLASH.second, pluginName: "ballast" };
    stand = await Stand.start({ requirements, routes: { form: "header-route" }, ...CLASH, second });
    await stand.fleet.release({ payments: { weights: { "payments-a": 50, "payments-b": 50 } } });
  });
  after(() => stand?.close());

  test("are reported by a gauge for as long as they clash", async () => {
    await until("the gauge", async () => (await stand.envoy.stat("wasmcustom.ballast.config_clash")) > 0);
    assert.equal(stand.fleet.xds.streams(), 1);
  });

  test("are found by the check of the running Envoy, with what differs", async () => {
    const dump = JSON.parse(await stand.envoy.admin("/config_dump"));
    const clash = checkConfig(dump).filter(({ code }) => code === "VM_CLASH");
    assert.equal(clash.length, 1);
    assert.match(clash[0]!.text, /vm_id "ballast" differ in session_from/);
  });

  test("lose no request: one of the two configurations serves both", async () => {
    const second = new Client(stand.rig, stand.secondPort);
    const answers = [...(await stand.client.askInTurn("payments", 50)), ...(await second.askInTurn("payments", 50))];
    assert.deepEqual([...new Set(answers.map(({ status, route }) => `${status} ${route}`))], ["200 steered"]);
    assert.deepEqual(await stand.envoy.traps(), []);
  });
});
