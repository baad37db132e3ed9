import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { otherLayout } from "../host/other-layout.ts";
import { Load } from "./fixture/client.ts";
import { connectionManager } from "./fixture/envoy.ts";
import { requireEnvoy } from "./fixture/requirements.ts";
import { type SteeredEnvoy, startSteeredEnvoy } from "./fixture/steered-envoy.ts";
import { until } from "./fixture/wait.ts";

const requirements = await requireEnvoy();

describe("another version of the module, with another layout of shared data, while the old one drains", {
  skip: requirements.skip,
}, () => {
  let stand: SteeredEnvoy;
  let load: Load;
  before(async () => {
    stand = await startSteeredEnvoy(requirements, { concurrency: 2, lds: true });
    await release("a");
    load = new Load(stand.rig, { port: stand.envoy.port, services: ["payments", "quotes"], rps: 150, cookies: 100 });
  });
  after(() => stand?.close());

  async function release(place: "a" | "b"): Promise<void> {
    const weights = (service: string) => ({
      weights: { [`${service}-a`]: 0, [`${service}-b`]: 0, [`${service}-${place}`]: 100 },
    });
    await stand.fleet.release({ payments: weights("payments"), quotes: weights("quotes") });
  }

  test("has a stream and an instance of its own, and both follow the next epoch", async () => {
    const path = join(stand.rig.folder, "next.wasm");
    await writeFile(path, otherLayout());
    await stand.envoy.updateListener((listener) => {
      const { vm_config } = connectionManager(listener).http_filters[0].typed_config.config;
      vm_config.code.local.filename = path;
    });
    await until("two streams", () => stand.fleet.xds.streams() === 2);
    const nodes = stand.fleet.xds.fleet.nodes().filter((node) => node.connected);
    assert.deepEqual([...new Set(nodes.map(({ id }) => id))], ["edge-1"]);
    assert.equal(new Set(nodes.map(({ instance }) => instance)).size, 2);
    await release("b");
  });

  test("when the old listener has drained, its stream ends and epochs go on", async () => {
    await until("one stream", () => stand.fleet.xds.streams() === 1);
    await release("a");
    const answers = await stand.client.askInTurn("quotes", 20);
    assert.deepEqual([...new Set(answers.map(({ route, servedBy }) => `${route} ${servedBy}`))], ["steered quotes-a"]);
  });

  test("no request failed, and none went anywhere but to a set's target or the static route", async (t) => {
    await load.stop();
    assert.deepEqual(load.failed, []);
    // The new VMs hold nothing until the server has sent them the set in force.
    const unsteered = load.answers.filter(({ route }) => route === "static").length;
    t.diagnostic(`${unsteered} of ${load.answers.length} requests took the static route meanwhile`);
    assert.ok(unsteered < load.answers.length / 2);
    assert.deepEqual(await stand.envoy.traps(), []);
  });
});
