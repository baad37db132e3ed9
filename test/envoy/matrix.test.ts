import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { BallastError } from "../../common/errors.ts";
import { makeSet } from "../../control/table/set.ts";
import { STEER_HEADER } from "../../envoy/demo.ts";
import { checkEnvoy } from "../../scripts/fetch-envoy.ts";
import { countServed } from "../e2e/fixture/client.ts";
import { SLOTS, Stand } from "./fixture/stand.ts";
import { requireEnvoyWithoutV8, requireVersion, VERSIONS } from "./fixture/versions.ts";

/** The same bytes of the filter on every supported line of Envoy. */
for (const version of VERSIONS) {
  const requirements = await requireVersion(version);
  describe(`Envoy ${version}`, { skip: requirements.skip }, () => {
    let stand: Stand;
    before(async () => {
      stand = await Stand.start({
        requirements,
        routes: { form: "header-route" },
        filter: { sessionFrom: { cookie: "sid" } },
      });
    });
    after(() => stand?.close());

    const routes = async (count: number): Promise<string[]> => [
      ...new Set((await stand.client.askInTurn("payments", count)).map(({ status, route }) => `${status} ${route}`)),
    ];

    test("is the version that it is called", async () => {
      assert.match(await stand.envoy.admin("/server_info"), new RegExp(`/${version.replaceAll(".", "\\.")}/`));
    });

    test("stages without a change, then activates", async () => {
      const built = stand.fleet.draft({ payments: { weights: { "payments-a": 75, "payments-b": 25 } } });
      const staged = await stand.fleet.stage(makeSet([...built.values()].map((table) => table.encoded)));
      assert.equal(staged.acks, 1, staged.reason);
      assert.deepEqual(await routes(20), ["200 static"]);
      const activated = await stand.fleet.activate();
      assert.equal(activated.acks, 1, activated.reason);
      assert.deepEqual(await routes(20), ["200 steered"]);
    });

    test("splits exactly", async () => {
      const answers = await stand.client.askInTurn("payments", SLOTS);
      assert.deepEqual(countServed(answers), { "payments-a": (SLOTS * 3) / 4, "payments-b": SLOTS / 4 });
    });

    test("keeps sessions on their targets", async () => {
      const seen = new Set<string | null>();
      for (let i = 0; i < 20; i++) {
        const answers = await stand.client.askInTurn("payments", 3, { cookie: `sid=user-${i}` });
        assert.equal(Object.keys(countServed(answers)).length, 1, `user-${i}`);
        seen.add(answers[0]!.servedBy);
      }
      assert.equal(seen.size, 2);
    });

    test("heeds no header of a client's", async () => {
      const answers = await stand.client.askInTurn("payments", SLOTS, { [STEER_HEADER]: "payments-b" });
      assert.deepEqual(countServed(answers), { "payments-a": (SLOTS * 3) / 4, "payments-b": SLOTS / 4 });
      assert.equal(stand.upstreams.leaked, 0);
    });

    test("leaves the filter out with the kill switch on", async () => {
      await stand.envoy.killSwitch(100);
      // The workers have the new value some requests after the admin endpoint has answered.
      await stand.client.askInTurn("payments", 20);
      assert.deepEqual(await routes(20), ["200 static"]);
      await stand.envoy.killSwitch(0);
      await stand.client.askInTurn("payments", 20);
      assert.deepEqual(await routes(20), ["200 steered"]);
    });

    test("no VM trapped", async () => assert.deepEqual(await stand.envoy.traps(), []));
  });
}

const withoutV8 = await requireEnvoyWithoutV8();
test("an Envoy that was built without V8 is refused by name before it starts", { skip: withoutV8.skip }, async () => {
  await assert.rejects(checkEnvoy(withoutV8.envoyPath), (thrown) => {
    assert.ok(thrown instanceof BallastError);
    assert.equal(thrown.code, "ENVOY_WITHOUT_V8");
    assert.match(thrown.message, /has no V8 Wasm runtime/);
    return true;
  });
});
