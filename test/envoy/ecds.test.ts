import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { countServed, Load } from "../e2e/fixture/client.ts";
import { until } from "../e2e/fixture/wait.ts";
import { Stand } from "./fixture/stand.ts";
import { requireVersion, VERSIONS } from "./fixture/versions.ts";

/** The filter's configuration in a file that Envoy follows, with a copy in the bootstrap that serves until the file is read. */
for (const version of [VERSIONS[0]!, VERSIONS.at(-1)!]) {
  const requirements = await requireVersion(version);
  describe(`ECDS, Envoy ${version}`, { skip: requirements.skip }, () => {
    let stand: Stand;
    before(async () => {
      stand = await Stand.start({
        requirements,
        routes: { form: "header-route" },
        filter: { sessionFrom: { cookie: "sid" } },
        ecds: true,
        concurrency: 2,
      });
      await stand.fleet.release({ payments: { weights: { "payments-a": 0, "payments-b": 100 } } });
    });
    after(() => stand?.close());

    const kinds = async (count: number): Promise<string[]> => [
      ...new Set(
        (await stand.client.askInTurn("payments", count)).map(({ route, servedBy }) => `${route} ${servedBy}`),
      ),
    ];
    const ecds = (counter: string): Promise<number> =>
      stand.envoy.stats(`extension_config_discovery.*${counter}$`).then((stats) => [...stats.values()][0] ?? 0);

    test("steers from the discovered configuration", async () => {
      assert.deepEqual(await kinds(40), ["steered payments-b"]);
      assert.ok((await ecds("config_reload")) >= 1);
    });

    test("the kill switch takes a discovered filter out of the path as well", async () => {
      await stand.envoy.killSwitch(100);
      await stand.client.askInTurn("payments", 20);
      assert.deepEqual(
        [...new Set((await stand.client.askInTurn("payments", 40)).map(({ route }) => route))],
        ["static"],
      );
      await stand.envoy.killSwitch(0);
      await stand.client.askInTurn("payments", 20);
    });

    test("an update under load, with an epoch in flight, loses no request and no weight, and the new configuration holds", async () => {
      const load = new Load(stand.rig, { port: stand.envoy.port, services: ["payments"], rps: 200 });
      const before = await ecds("config_reload");
      const was = Math.max(...stand.fleet.xds.fleet.nodes().map((node) => node.connectedAtMs));
      const sticky = { "payments-a": 50, "payments-b": 50 };
      // One epoch after the other, so that one is in flight whenever Envoy takes the update.
      let pushing = true;
      const sinceEpoch = stand.fleet.epoch;
      const pushes = (async () => {
        for (let i = 0; pushing; i++) {
          const a = 40 + 10 * (i % 3);
          await stand.fleet.release({ payments: { weights: { "payments-a": a, "payments-b": 100 - a } } });
        }
      })();
      // A failure is reported where `pushes` is awaited.
      pushes.catch(() => {});
      await until("epochs go out", () => stand.fleet.epoch > sinceEpoch + 2);
      await stand.discover({ sessionFrom: { header: "x-session" } });
      await until("Envoy takes the file", async () => (await ecds("config_reload")) > before);
      // The stream died with the old root, without a word, and the server sees its successor of the same node.
      await until("the new root's stream", () =>
        stand.fleet.xds.fleet.nodes().some((node) => node.connectedAtMs > was),
      );
      const atUpdate = stand.fleet.epoch;
      await until("epochs go on", () => stand.fleet.epoch >= atUpdate + 3);
      pushing = false;
      await pushes;
      await stand.fleet.release({ payments: { weights: { "payments-a": 100, "payments-b": 0 }, sticky } });
      await load.stop();
      assert.deepEqual(load.failed, []);
      const wrong = load.answers.filter(({ route }) => route !== "steered");
      assert.deepEqual(wrong, []);
      const targets = new Set<string | null>();
      for (let i = 0; i < 20; i++) {
        const answers = await stand.client.askInTurn("payments", 2, { "x-session": `user-${i}` });
        assert.equal(Object.keys(countServed(answers)).length, 1);
        targets.add(answers[0]!.servedBy);
      }
      assert.equal(targets.size, 2, "the session is found in the header now");
    });

    test("a configuration that the filter refuses changes nothing", async () => {
      const before = await ecds("config_fail");
      await stand.discover({ debugHeader: "not a header name" });
      await until("Envoy refuses the file", async () => (await ecds("config_fail")) > before);
      assert.deepEqual(await kinds(40), ["steered payments-a"]);
      assert.match(await stand.envoy.log(), /ballast: config refused at byte/);
    });

    test("a second filter with other settings is refused, and told what to do", async () => {
      const before = await ecds("config_fail");
      await stand.discover({ pluginName: "another", sessionFrom: { cookie: "other" } });
      await until("Envoy refuses the file", async () => (await ecds("config_fail")) > before);
      assert.deepEqual(await kinds(40), ["steered payments-a"]);
      assert.match(await stand.envoy.log(), /vm_id in use: take another/);
    });

    test("no VM trapped", async () => assert.deepEqual(await stand.envoy.traps(), []));
  });
}
