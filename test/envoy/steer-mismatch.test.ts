import assert from "node:assert/strict";
import { test } from "node:test";
import { EnvoyAdminScraper } from "../../control/telemetry/envoy-admin-scraper.ts";
import { MIN_REQUESTS, type Mismatch, SteerWatch } from "../../control/telemetry/steer-mismatch.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { Stand } from "./fixture/stand.ts";

const requirements = await requireEnvoy();
const SHARE_OF_A = 0.25;

/** What the control server makes of an Envoy's statistics while `payments` is steered to 25/75, on a route of these static weights. */
async function observed(staticWeights: Record<string, number>): Promise<Mismatch[]> {
  const stand = await Stand.start({
    requirements,
    routes: { form: "header-name" },
    edit: (bootstrap) => {
      const text = JSON.stringify(bootstrap, (_key, value) => {
        const weight = typeof value === "object" && value !== null ? staticWeights[value.name] : undefined;
        return weight !== undefined && value.weight !== undefined ? { ...value, weight } : value;
      });
      Object.assign(bootstrap, JSON.parse(text));
    },
  });
  try {
    const weights = { "payments-a": 100 * SHARE_OF_A, "payments-b": 100 - 100 * SHARE_OF_A };
    await stand.fleet.release({ payments: { weights } });
    const watch = new SteerWatch();
    const scraper = new EnvoyAdminScraper();
    const shares = new Map([
      ["payments-a", SHARE_OF_A],
      ["payments-b", 1 - SHARE_OF_A],
    ]);
    const read = async (): Promise<void> => {
      const answer = await scraper.read(`http://127.0.0.1:${stand.envoy.adminPort}`);
      assert.ok(!("reason" in answer), JSON.stringify(answer));
      assert.equal(answer.node, "edge-1");
      watch.add([answer], stand.fleet.epoch, new Map([["payments", { shares, sessions: false }]]), () => true);
    };
    await read();
    await read();
    for (let i = 0; i < 2; i++) {
      await stand.client.askInTurn("payments", MIN_REQUESTS);
      await read();
    }
    return watch.mismatches();
  } finally {
    await stand.close();
  }
}

test("the route as its values were made for is no mismatch, the same with edited weights is one", {
  skip: requirements.skip,
}, async () => {
  assert.deepEqual(await observed({ "payments-a": 600_000, "payments-b": 400_000 }), []);
  const [found] = await observed({ "payments-a": 990_000, "payments-b": 10_000 });
  assert.equal(found?.service, "payments");
  assert.equal(found.requests, MIN_REQUESTS);
  assert.ok(Math.abs(found.observed - found.intended) > 0.7, JSON.stringify(found));
});
