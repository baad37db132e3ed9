/**
 * The real Envoy as a client that is not ours, on standard resources (RDS over ADS): what it sends at the start, on a good
 * response, on a bad one and after the server came back is what our subscription takes it for.
 */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ROUTE_TYPE, routeConfiguration } from "../../bench/propagation/route-config.ts";
import { freePorts } from "../e2e/fixture/ports.ts";
import { requireEnvoy } from "../e2e/fixture/requirements.ts";
import { Rig } from "../e2e/fixture/rig.ts";
import { until } from "../e2e/fixture/wait.ts";
import { type StandardServer, startStandardServer } from "./standard-server.ts";

const API = "type.googleapis.com/envoy";
const NAME = "routes";
const split = (a: number, b: number): Buffer => routeConfiguration(NAME, [{ prefix: "/", clusters: { a, b } }]);

const { skip, envoyPath } = await requireEnvoy();
let rig: Rig | undefined;
let server: StandardServer;
let adminPort: number;

const acked = (version: string) => () =>
  server.heard.find(({ event }) => event.kind === "ack" && event.version === version);
/** The version of the routes that Envoy itself says it uses. */
const inForce = async (): Promise<string | undefined> => {
  const page = await fetch(`http://127.0.0.1:${adminPort}/config_dump?resource=dynamic_route_configs`);
  const { configs = [] } = (await page.json()) as { configs?: { version_info?: string }[] };
  return configs[0]?.version_info;
};

before(async () => {
  if (skip) return;
  const opened = await Rig.open();
  rig = opened;
  server = await startStandardServer(ROUTE_TYPE);
  opened.later(() => server.stop());
  server.push("v1", split(90, 10));
  const [port, admin] = (await freePorts(2)) as [number, number];
  adminPort = admin;
  const address = (value: number) => ({ socket_address: { address: "127.0.0.1", port_value: value } });
  const cluster = (name: string, to: number, options: object) => ({
    name,
    type: "STATIC",
    ...options,
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(to) } }] }] },
  });
  const http2 = {
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": `${API}.extensions.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
  const manager = {
    "@type": `${API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "standard",
    rds: { route_config_name: NAME, config_source: { ads: {}, resource_api_version: "V3" } },
    http_filters: [{ name: "router", typed_config: { "@type": `${API}.extensions.filters.http.router.v3.Router` } }],
  };
  const bootstrap = {
    node: { id: "standard-1", cluster: "standard" },
    admin: { address: address(admin) },
    dynamic_resources: {
      ads_config: {
        api_type: "GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "ads" } }],
      },
    },
    static_resources: {
      listeners: [
        { name: "l", address: address(port), filter_chains: [{ filters: [{ name: "hcm", typed_config: manager }] }] },
      ],
      clusters: [cluster("a", 9, {}), cluster("b", 9, {}), cluster("ads", server.port, http2)],
    },
  };
  const path = join(opened.folder, "bootstrap.json");
  await writeFile(path, JSON.stringify(bootstrap));
  await opened.processes.start({
    name: "envoy-standard",
    file: envoyPath,
    args: ["-c", path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"],
    onExit: () => {},
  });
});
after(() => rig?.close());

test("the first request names the node and holds nothing; the first response is acknowledged by its nonce", {
  skip,
}, async () => {
  await until("v1 is acknowledged", acked("v1"));
  const [first, second] = server.heard;
  assert.equal(first?.event.kind, "first");
  assert.equal(first?.request.node?.id, "standard-1");
  assert.deepEqual([first?.request.versionInfo, first?.request.responseNonce], ["", ""]);
  assert.deepEqual(first?.request.resourceNames, [NAME]);
  assert.deepEqual([second?.request.versionInfo, second?.request.responseNonce], ["v1", "n1"]);
  await until("Envoy uses v1", async () => (await inForce()) === "v1");
});

test("each further version is acknowledged once and is in force", { skip }, async () => {
  server.push("v2", split(20, 80));
  await until("v2 is acknowledged", acked("v2"));
  await until("Envoy uses v2", async () => (await inForce()) === "v2");
  assert.equal(server.heard.filter(({ event }) => event.kind === "ack" && event.version === "v2").length, 1);
});

test("a resource that cannot be used is a NACK with its reason, the old one stays, and the next good one is taken", {
  skip,
}, async () => {
  server.push("v3", split(0, 0));
  const nack = await until("v3 is refused", () => server.heard.find(({ event }) => event.kind === "nack"));
  assert.ok(nack.event.kind === "nack" && nack.event.version === "v3");
  assert.match(nack.event.reason, /[Ww]eight/);
  // The version in a NACK is the one still held: only error_detail tells it from an ACK.
  assert.equal(nack.request.versionInfo, "v2");
  assert.equal(await inForce(), "v2");
  server.push("v4", split(50, 50));
  await until("v4 is acknowledged", acked("v4"));
});

test("after the server came back the client says what it holds, is sent nothing, and follows the next version", {
  skip,
}, async () => {
  const { port } = server;
  await server.stop();
  server = await startStandardServer(ROUTE_TYPE, port);
  server.push("v4", split(50, 50));
  const first = await until("Envoy is back", () => server.heard[0]);
  assert.deepEqual(first.event, { kind: "first", held: "v4", asked: [NAME] });
  server.push("v5", split(40, 60));
  await until("v5 is acknowledged", acked("v5"));
  assert.equal(server.heard.filter(({ event }) => event.kind === "ack").length, 1);
  assert.equal(await inForce(), "v5");
});
