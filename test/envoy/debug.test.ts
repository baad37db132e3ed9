import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { DEMO_HEADERS } from "../../envoy/demo.ts";
import { connectionManager } from "../e2e/fixture/envoy.ts";
import { Stand } from "./fixture/stand.ts";
import { requireVersion, VERSIONS } from "./fixture/versions.ts";

const HEADER = "x-ballast-debug";

/** The debug header of the answer, null when it has none, and who served it. */
function ask(port: number, headers: Record<string, string>): Promise<{ debug: string | null; target: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, path: "/payments", headers, agent: false }, (response) => {
      response.resume();
      const debug = response.headers[HEADER];
      const target = String(response.headers[DEMO_HEADERS.servedBy]);
      response.once("end", () => resolve({ debug: typeof debug === "string" ? debug : null, target }));
    });
    call.once("error", reject);
    call.end();
  });
}

for (const version of [VERSIONS[0]!, VERSIONS.at(-1)!]) {
  const requirements = await requireVersion(version);
  describe(`the debug header, Envoy ${version}`, { skip: requirements.skip }, () => {
    let stand: Stand;
    before(async () => {
      stand = await Stand.start({
        requirements,
        routes: { form: "header-route" },
        filter: { debugHeader: HEADER },
        // A second listener on which this machine is trusted, as a user would say it; the filter is the same.
        second: {},
        edit: (bootstrap) => {
          const manager = connectionManager(bootstrap.static_resources.listeners[1]);
          manager.use_remote_address = true;
          manager.internal_address_config = { cidr_ranges: [{ address_prefix: "127.0.0.0", prefix_len: 8 }] };
        },
      });
      await stand.fleet.release({ payments: { weights: { "payments-a": 50, "payments-b": 50 } } });
    });
    after(() => stand?.close());

    test("tells a trusted client service, target and epoch of each request that asks", async () => {
      for (let i = 0; i < 10; i++) {
        const { debug, target } = await ask(stand.secondPort, { [HEADER]: "1" });
        assert.equal(debug, `payments ${target} ${stand.fleet.epoch}`);
      }
      const before = stand.fleet.epoch;
      await stand.fleet.release({ payments: { weights: { "payments-a": 0, "payments-b": 100 } } });
      assert.equal((await ask(stand.secondPort, { [HEADER]: "1" })).debug, `payments payments-b ${before + 1}`);
    });

    test("is absent from the answer of a request that does not ask", async () => {
      assert.equal((await ask(stand.secondPort, {})).debug, null);
    });

    test("is not for clients that are not trusted, which by default is everybody", async () => {
      assert.equal((await ask(stand.envoy.port, { [HEADER]: "1" })).debug, null);
    });

    test("gives back what was asked when the request was not steered", async () => {
      await stand.fleet.release({ payments: { weights: { "payments-a": 50, "payments-b": 50 }, observe: true } });
      assert.equal((await ask(stand.secondPort, { [HEADER]: "1" })).debug, "1");
    });
  });
}
