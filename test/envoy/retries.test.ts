import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { FORMS, SAFE_RETRY } from "../../envoy/render/routes.ts";
import { runTool } from "../../scripts/lib/run-tool.ts";
import { countServed } from "../e2e/fixture/client.ts";
import type { Json } from "../e2e/fixture/envoy.ts";
import { Rig } from "../e2e/fixture/rig.ts";
import { SLOTS, Stand } from "./fixture/stand.ts";
import { requireVersion, VERSIONS } from "./fixture/versions.ts";

/**
 * What a retry can promise in each form on each line of Envoy, measured: one target of each service refuses connections while its
 * weight is still 50 %, as in the seconds before Ballast has noticed. The table in envoy/README.md says the same.
 */
const PLAIN: Json = { ...SAFE_RETRY, retry_back_off: { base_interval: "0.001s", max_interval: "0.001s" } };
const REFRESH: Json = { ...PLAIN, refresh_cluster_on_retry: true };
/** The first line that knows it. */
const REFRESH_SINCE = 39;
/** A service whose first target has one dead host and a live one. */
const HALF_DEAD = "half-dead";

const targetsOf = (service: string, a: number, b: number, n: number): Record<string, number> => ({
  [`${service}-a`]: a,
  [`${service}-b`]: b,
  [`${service}-n`]: n,
});

for (const version of VERSIONS) {
  const requirements = await requireVersion(version);
  const knowsRefresh = Number(version.split(".")[1]) >= REFRESH_SINCE;
  const retries = { plain: PLAIN, ...(knowsRefresh ? { refresh: REFRESH } : {}) };
  const cases = FORMS.flatMap((form) =>
    Object.entries(retries).map(([name, retry]) => ({ service: `${form}-${name}`, form, name, retry })),
  );

  describe(`Envoy ${version}`, { skip: requirements.skip }, () => {
    let stand: Stand;
    before(async () => {
      const services = [...cases.map(({ service }) => service), HALF_DEAD];
      stand = await Stand.start({
        requirements,
        routes: { form: "header-route" },
        base: Object.fromEntries(services.map((service) => [service, targetsOf(service, 450_000, 350_000, 200_000)])),
        routesOf: Object.fromEntries(cases.map(({ service, form, retry }) => [service, { form, retry }])),
        dead: cases.map(({ service }) => `${service}-a`),
        edit: (bootstrap) => addDeadHost(bootstrap, `${HALF_DEAD}-a`),
      });
      const shares = services.map((service) => [service, { weights: targetsOf(service, 50, 25, 25) }]);
      await stand.fleet.release(Object.fromEntries(shares));
    });
    after(() => stand?.close());

    const served = async (service: string): Promise<Record<string, number>> =>
      countServed(await stand.client.askInTurn(service, SLOTS));

    for (const { service, form, name } of cases) {
      if (form === "header-name" && name === "refresh") {
        test("header-name, refresh_cluster_on_retry: the strongest other target takes every request of the dead one", async () => {
          assert.deepEqual(await served(service), { [`${service}-b`]: (SLOTS * 3) / 4, [`${service}-n`]: SLOTS / 4 });
        });
      } else {
        const why = name === "plain" ? "a plain retry stays in the cluster" : "the header still names the dead cluster";
        test(`${form}, ${name} retry: a dead target's own share fails and no other, since ${why}`, async () => {
          const { [`${service}-a`]: dead, ...rest } = targetsOf(service, SLOTS / 2, SLOTS / 4, SLOTS / 4);
          assert.deepEqual(await served(service), { "status 503": dead, ...rest });
        });
      }
    }

    test("a plain retry goes to another host of the cluster, so the loss of one host is not seen", async () => {
      assert.deepEqual(await served(HALF_DEAD), targetsOf(HALF_DEAD, SLOTS / 2, SLOTS / 4, SLOTS / 4));
    });

    test("no VM trapped", async () => assert.deepEqual(await stand.envoy.traps(), []));

    test(`${knowsRefresh ? "accepts" : "does not know"} refresh_cluster_on_retry`, async () => {
      const rig = await Rig.open();
      const path = join(rig.folder, "envoy.json");
      await writeFile(path, JSON.stringify(onlyRoute(REFRESH)));
      const args = ["--mode", "validate", "--disable-hot-restart", "-c", path];
      const { output, exitCode } = await runTool(requirements.envoyPath, args, { env: process.env, timeoutMs: 30_000 });
      await rig.close();
      assert.equal(exitCode, knowsRefresh ? 0 : 1, output);
      if (!knowsRefresh) assert.match(output, /refresh_cluster_on_retry/);
    });
  });
}

/** A second host of the cluster, at which nothing listens. */
function addDeadHost(bootstrap: Json, name: string): void {
  const cluster = bootstrap.static_resources.clusters.find((candidate: Json) => candidate.name === name);
  const hosts = cluster.load_assignment.endpoints[0].lb_endpoints;
  const dead = structuredClone(hosts[0]);
  // Port 1 of another loopback address: nothing listens there, and no test takes it.
  dead.endpoint.address.socket_address = { address: "127.0.0.2", port_value: 1 };
  hosts.push(dead);
}

function onlyRoute(retry: Json): Json {
  const route = { match: { prefix: "/" }, route: { cluster: "a", retry_policy: retry } };
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "a",
    route_config: { virtual_hosts: [{ name: "a", domains: ["*"], routes: [route] }] },
    http_filters: [
      {
        name: "router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
  const listener = {
    name: "a",
    address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
    filter_chains: [{ filters: [{ name: "hcm", typed_config: manager }] }],
  };
  return { static_resources: { listeners: [listener], clusters: [{ name: "a", type: "STATIC" }] } };
}
